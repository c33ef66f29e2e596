"""Large arrays in files, which all processes of a machine map into their memory.

KEY.npy       an array in NumPy's format, then the SHA-256 of the key and of all before it
.KEY.*.part   an array that is being written
KEY.lock      locked by the process that makes the array

Mapped pages are in the system's cache: once for all processes, and freed when memory is short. Each
process compares the checksum when it first opens a file. So a damaged file, or one of another key,
is made again. Who maps a file holds a shared lock on it (`flock`), and only files without a lock
are removed. Without space or without locks nothing is kept.
"""

import fcntl
import hashlib
import io
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bench.core.cache_folder import cache_folder
from bench.core.file_lock import NotLocked, locked

Array = NDArray[np.uint8]
# rows of an array, and the value that all of them have
Part = tuple[Sequence[int], Array]
# Returns an array from its number of rows and its parts, which may be left unread.
Gather = Callable[[int, Iterator[Part]], Array]

SMALLEST = 4 * 2**20  # bytes; below, a file saves less than half a second of decoding
_MOST = 20 * 10**9  # bytes of all files
_FREE_SHARE = 0.2  # share of the free disk, with these files removed, that they may take
_CHECK = hashlib.sha256().digest_size
_checked: set[tuple[Path, int, int]] = set()  # files and their inodes whose checksum was compared


class NotKept(Exception):
    """An array cannot be kept in a file: no space, no locks, or no right to write."""


def in_memory(count: int, parts: Iterator[Part]) -> Array:
    """Return an array in the memory of this process; see `Gather`."""
    found: Array | None = None
    for rows, value in parts:
        if found is None:
            found = np.empty((count, *value.shape), np.uint8)
        found[rows] = value
    if found is None:
        raise ValueError("an array without rows has no shape")
    return found


@dataclass(frozen=True, slots=True)
class ArrayFiles:
    """A folder of arrays.

    Attributes:
        folder: The folder.
        smallest: Bytes of the smallest array that is kept.
        most: Bytes of all files; above, the least recently used are removed.
    """

    folder: Path
    smallest: int = SMALLEST
    most: int = _MOST

    @contextmanager
    def gathering(self, key: str, on_wait: Callable[[], None]) -> Iterator[Gather]:
        """Yield a function that maps the array of a key, or else makes it in a new file.

        The new file is kept if the block ends without an error, so the block can check what the
        array was made from. Other processes wait for it. Small arrays are made in memory.

        Args:
            key: Identifies the content; a file name.
            on_wait: Called every second while another process makes the array; may raise.

        Raises:
            NotKept: The function cannot write the file; the parts may have been read.
        """
        with ExitStack() as opened:

            def gather(count: int, parts: Iterator[Part]) -> Array:
                if (known := self._mapped(key)) is not None:
                    return known
                first = next(parts)
                parts = chain([first], parts)
                if count * first[1].nbytes < self.smallest:
                    return in_memory(count, parts)
                opened.enter_context(self._making(key, on_wait))
                if (known := self._mapped(key)) is not None:  # made in the meantime
                    return known
                file = opened.enter_context(self._new_file(key))
                header = _header((count, *first[1].shape))
                with _or_not_kept():
                    size = len(header) + count * first[1].nbytes + _CHECK
                    self._make_room(size)
                    file.truncate(size)  # so that other processes count it
                _write(file, key, header, parts)
                with _or_not_kept():
                    return _map(file)

            yield gather

    def _mapped(self, key: str) -> Array | None:
        """Return the array of a file; None if there is none. A damaged file is removed."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                state = path, os.fstat(file.fileno()).st_ino, os.fstat(file.fileno()).st_size
                if state not in _checked and not _is_whole(file, key):
                    path.unlink(missing_ok=True)
                    return None
                _checked.add(state)
                with suppress(OSError):  # the folder may be read-only
                    os.utime(path)  # the time of the last use
                return _map(file)
        except OSError:
            return None

    @contextmanager
    def _making(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Lock a key while its array is made."""
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.folder / f"{key}.lock", on_wait))
            except NotLocked as error:
                raise NotKept(f"{self.folder}: cannot be locked") from error
            yield

    @contextmanager
    def _new_file(self, key: str) -> Iterator[IO[bytes]]:
        """Yield a new file that gets its name if the block ends without an error."""
        with _or_not_kept():
            descriptor, name = tempfile.mkstemp(".part", f".{key}.", self.folder)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "r+b", buffering=0) as file:  # else closing it may fail
                with _or_not_kept():
                    fcntl.flock(file, fcntl.LOCK_SH)
                yield file
            with suppress(OSError):  # the array is mapped anyway
                os.replace(part, self._path(key))
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Remove files until `size` bytes more are allowed.

        What killed processes left comes first, then the least recently used arrays.
        """
        left, arrays = (_by_time(self.folder.glob(name)) for name in (".*.part", "*.npy"))
        files = [*left, *arrays]
        total = sum(held for _, held, _ in files)
        allowed = min(self.most, _FREE_SHARE * (shutil.disk_usage(self.folder).free + total))
        if size <= allowed:
            for _, held, path in files:
                if total + size > allowed and _remove_unused(path):
                    total -= held
        if total + size > allowed:
            raise NotKept(f"{self.folder}: {size} bytes are too many")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"


@contextmanager
def _or_not_kept() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotKept(str(error)) from error


def _header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def _write(file: IO[bytes], key: str, header: bytes, parts: Iterator[Part]) -> None:
    """Write header, rows and checksum into a file that has its size.

    Rows are written and not assigned in mapped memory, where a full disk would end the process.
    """
    with _or_not_kept():
        _write_at(file, 0, header)
    for rows, value in parts:
        content = value.tobytes()
        with _or_not_kept():
            for row in rows:
                _write_at(file, len(header) + row * len(content), content)
    with _or_not_kept():
        check = _checksum(file, key)
        _write_at(file, file.tell(), check)
        os.fsync(file.fileno())  # an error of the disk shows here, and not when pages are read


def _write_at(file: IO[bytes], place: int, content: bytes) -> None:
    file.seek(place)
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _is_whole(file: IO[bytes], key: str) -> bool:
    check = _checksum(file, key)
    return file.read() == check


def _checksum(file: IO[bytes], key: str) -> bytes:
    """Return the checksum of a file, whose last bytes it leaves to be read."""
    left = file.seek(0, os.SEEK_END) - _CHECK
    file.seek(0)
    digest = hashlib.sha256(key.encode())
    while left > 0 and (block := file.read(min(left, 2**20))):
        digest.update(block)
        left -= len(block)
    return digest.digest()


def _map(file: IO[bytes]) -> Array:
    """Return the array in a whole file.

    The map keeps the lock on the file, since it has a copy of the descriptor. Its pages are copied
    if they are written, because torch warns of memory that is read-only; nothing writes them.
    """
    file.seek(0)
    np.lib.format.read_magic(file)
    shape, _, _ = np.lib.format.read_array_header_1_0(file)
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return np.frombuffer(mapped, np.uint8, math.prod(shape), file.tell()).reshape(shape)


def _by_time(paths: Iterable[Path]) -> list[tuple[float, int, Path]]:
    """Return the time of the last use and the size of each file, the oldest first."""
    found = []
    for path in paths:
        with suppress(OSError):  # removed by another process
            state = path.stat()
            found.append((state.st_mtime, state.st_size, path))
    return sorted(found)


def _remove_unused(path: Path) -> bool:
    """Remove a file that no process has mapped or writes; return whether it is removed."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            path.with_suffix(".lock").unlink(missing_ok=True)
    except OSError:
        return False
    return True


def user_files(kind: str) -> ArrayFiles | None:
    """Return the arrays of one kind in the user's cache folder; None if there is no such folder."""
    folder = cache_folder(kind)
    return ArrayFiles(folder) if folder else None
