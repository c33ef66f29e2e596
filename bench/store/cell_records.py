"""A cell's result as text: quick to read, since tables read ten thousand of them.

Which fields there are, and what each holds, is declared in `bench.core.types.CellResult`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from bench.core.result_fields import Kind
from bench.core.terminal import legible
from bench.core.types import FIELDS, CellResult
from bench.store.reading import read_bytes

_BETWEEN = "|"  # between the ids of images; JSON needs no escape for it
_FLOATS = "<f4"  # floats are stored as their bytes in hexadecimal, which is read fastest


def result_to_json(result: CellResult) -> str:
    """Return a result as text."""
    return json.dumps(dict(_packed(result)))


def read_result_file(path: str) -> CellResult:
    """Return the result in a file.

    Raises:
        OSError: The file is not there, or cannot be read.
        ValueError, KeyError, TypeError, AttributeError: It is damaged.
    """
    record = from_json(read_bytes(path))
    return CellResult(**dict(_unpacked(record)))


def _packed(result: CellResult) -> Iterator[tuple[str, object]]:
    for name, field in FIELDS.items():
        value = getattr(result, name)
        if not field.optional or (value is not None and len(value)):
            yield name, _PACK.get(field.kind, _same)(value)


def _unpacked(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in FIELDS.items():
        if name in record:
            yield name, _UNPACK.get(field.kind, _same)(record[name])


def _same(value: object) -> object:
    return value


def to_digits(flags: NDArray[np.bool_]) -> str:
    """Return booleans as a text of digits: `101`."""
    return (flags + np.uint8(ord("0"))).tobytes().decode()


def from_digits(text: str) -> NDArray[np.bool_]:
    """Return the booleans of a text of digits."""
    found: NDArray[np.bool_] = np.frombuffer(text.encode(), np.uint8) == ord("1")
    return found


def _joined(ids: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return ids as one text, which reads back much faster than a list where that is safe."""
    return ids if not ids or any(_BETWEEN in key for key in ids) else _BETWEEN.join(ids)


def _split(ids: str | Sequence[str]) -> tuple[str, ...]:
    return _same_ids(ids) if isinstance(ids, str) else tuple(ids)


@lru_cache(maxsize=64)  # a dataset's cells have the same images: they are kept once
def _same_ids(text: str) -> tuple[str, ...]:
    return tuple(text.split(_BETWEEN))


def _hexadecimal(values: NDArray[np.float32]) -> str:
    return values.astype(_FLOATS).tobytes().hex()


def _floats(kept: str | Sequence[float]) -> NDArray[np.float32]:
    """Return floats from their bytes, or from the list that records of before have."""
    if not isinstance(kept, str):
        return np.array(kept, dtype=np.float32)
    return np.frombuffer(bytes.fromhex(kept), _FLOATS).astype(np.float32)


def _whole_texts(texts: Sequence[str]) -> list[str]:
    """Return texts without half pairs of code points, which could not be read back."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


def _words(flags: Sequence[str]) -> list[str]:
    return [legible(flag) for flag in flags]


_PACK: Mapping[Kind, Callable[[Any], object]] = {
    "booleans": to_digits,
    "floats": _hexadecimal,
    "ids": _joined,
    "texts": _whole_texts,
    "flags": _words,
    "reason": lambda reason: reason and legible(reason),
    "facts": dict,
}
_UNPACK: Mapping[Kind, Callable[[Any], object]] = {
    "booleans": from_digits,
    "floats": _floats,
    "ids": _split,
    "texts": tuple,
    "flags": tuple,
}
