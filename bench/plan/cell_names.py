"""Names of cells and crafts: computed from their identities, or known from an earlier command.

A name is a hash of everything that a number depends on. A run stores the names of its cells, and
commands read them while the suite, the lock and the code that computes identities are the same. So
a million cells are named in seconds.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from bench.core.identifiers import ID_LENGTH
from bench.core.resolved_names import Lock
from bench.plan.identity_texts import Texts, digest_of_texts
from bench.suite.load import Suite

_BYTES = ID_LENGTH // 2  # of a name
_KEY, _NUMBER = 32, 4  # bytes of the key, the count of cells, and the checksum
_ROOMS = ("core", "plan", "suite")  # which compute identities


class Naming(Protocol):
    """Names cells and crafts, one after another in the order of the suite."""

    def cell(self, identity: Callable[[], Texts]) -> str:
        """Return the name of the next cell."""
        ...

    def other(self, identity: Callable[[], Texts]) -> str:
        """Return the next name of a craft, or of the parts of a cell."""
        ...


class ByIdentity:
    """Computes names from identities."""

    def cell(self, identity: Callable[[], Texts]) -> str:
        """Return the hash of an identity."""
        return digest_of_texts(identity())

    other = cell


class InOrder:
    """Gives known names in the order in which they were computed."""

    def __init__(self, known: "KnownNames") -> None:
        """Begin with the first name."""
        self._cells, self._others = _split(known.cells), _split(known.others)

    def cell(self, identity: Callable[[], Texts]) -> str:
        """Return the next name of a cell."""
        return next(self._cells).hex()

    def other(self, identity: Callable[[], Texts]) -> str:
        """Return the next name of a craft, or of the parts of a cell."""
        return next(self._others).hex()


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names of the cells of a suite, and of their crafts and parts, 10 bytes each."""

    cells: bytes
    others: bytes

    def cell_ids(self) -> Iterator[bytes]:
        """Yield the id of each cell, 10 bytes; cells of equal models have equal ids."""
        return _split(self.cells)


def known_names(names: Sequence[Sequence[str]]) -> KnownNames:
    """Return the names of cells.

    Args:
        names: Of each cell, its id and then its other names.
    """
    cells = b"".join(bytes.fromhex(own) for own, *_ in names)
    return KnownNames(cells, b"".join(bytes.fromhex("".join(others)) for _, *others in names))


def names_key(suite: Suite, lock: Lock) -> bytes:
    """Return a hash of all that names depend on: the suite, the lock and the code, 32 bytes."""
    content = json.dumps([suite.model_dump(mode="json"), asdict(lock)], sort_keys=True)
    return hashlib.sha256(_code() + content.encode()).digest()


def to_bytes(key: bytes, names: KnownNames) -> bytes:
    """Return names as the content of a file."""
    count = len(names.cells) // _BYTES
    content = key + count.to_bytes(_NUMBER, "little") + names.cells + names.others
    return zlib.crc32(content).to_bytes(_NUMBER, "little") + content


def from_bytes(key: bytes, content: bytes) -> KnownNames | None:
    """Return the names in the content of a file; None if it is damaged or has another key."""
    if int.from_bytes(content[:_NUMBER], "little") != zlib.crc32(content[_NUMBER:]):
        return None
    begin = _NUMBER + _KEY
    if content[_NUMBER:begin] != key:
        return None
    count = int.from_bytes(content[begin : begin + _NUMBER], "little")
    cells = content[begin + _NUMBER :][: count * _BYTES]
    return KnownNames(cells, content[begin + _NUMBER + len(cells) :])


def _split(names: bytes) -> Iterator[bytes]:
    return (names[place : place + _BYTES] for place in range(0, len(names), _BYTES))


@cache
def _code() -> bytes:
    """Return a hash of the modules that compute identities: a changed one may give other names."""
    hashed = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((Path(__file__).parents[1] / room).rglob("*.py")):
            hashed.update(path.read_bytes())
    return hashed.digest()
