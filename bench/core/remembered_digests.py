"""Digests of large files, kept in the user's cache folder, so that each is read once.

An entry belongs to files in one state: their paths, devices, inodes, sizes, and the times when
their content (mtime) and their inodes (ctime) last changed. Writing to a file changes ctime, which
no program can set, so other content of equal size and equal mtime is another state. Limits: a clock
that was set back, and file systems without ctime (Windows has the time of creation instead).
"""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.core.program import PROJECT
from radapt.atomic_write import write_atomically

_SETTLED = 2 * 10**9  # ns; above the resolution of the times of file systems
_SIZE = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class FileState:
    """A file, and what the system says about its content without reading it; times are in ns."""

    path: Path
    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @property
    def settled(self) -> bool:
        """Whether the file has not changed for some time, so that a change would show."""
        return time.time_ns() - max(self.modified, self.changed) > _SETTLED


def state_of(path: Path) -> FileState:
    """Return the state of a file.

    Raises:
        OSError: There is no such file.
    """
    found = path.stat()
    return FileState(
        path.resolve(), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns,
        found.st_ctime_ns,
    )  # fmt: skip


def recall(states: Sequence[FileState], how: str) -> list[bytes] | None:
    """Return the digests of files in some states; None if they are not kept.

    Args:
        states: The files.
        how: How they are read.
    """
    path = _entry(states, how)
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digests, check = content[:-_SIZE], content[-_SIZE:]
    if len(digests) != _SIZE * len(states) or check != _checksum(path, digests):
        return None  # damaged
    return [digests[start : start + _SIZE] for start in range(0, len(digests), _SIZE)]


def remember(states: Sequence[FileState], how: str, digests: Sequence[bytes]) -> None:
    """Keep the digests of files, if the cache folder can be written.

    Args:
        states: The files before they were read, all settled.
        how: How they were read.
        digests: Their digests.
    """
    if (path := _entry(states, how)) is None:
        return
    content = b"".join(digests)
    with suppress(OSError):
        write_atomically(path, lambda part: part.write_bytes(content + _checksum(path, content)))


def _entry(states: Sequence[FileState], how: str) -> Path | None:
    with suppress(RuntimeError):  # the user has no home folder
        cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        key = hashlib.sha256(repr((how, *states)).encode(errors="surrogateescape")).hexdigest()
        return Path(cache, PROJECT, "digests", key)
    return None


def _checksum(path: Path, digests: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + digests).digest()
