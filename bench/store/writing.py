"""Write files for commands; a refusal of the system becomes a sentence that names the path.

Every file is written under a temporary name and then renamed, so a reader never sees half a file.
"""

import errno
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from bench.core.errors import DiskFull, NotWritable
from radapt import atomic_write

_BETWEEN_FLUSHES = 1.0  # seconds
_FLUSHED_AT_ONCE = 16  # files


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn system errors of the block, which writes `path`, into errors for the user.

    Raises:
        DiskFull: The disk is full or its quota is used up.
        NotWritable: The system refuses the file for another reason.
    """
    try:
        yield
    except OSError as error:
        raise _for_user(path, error) from error


def write_text(path: Path, text: str, *, flush: bool = True) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        StoreError: It cannot be written (`writing`).
    """
    write_atomically(path, lambda part: part.write_text(text, "utf-8"), flush=flush)


def write_atomically(path: Path, write: Callable[[Path], object], *, flush: bool = True) -> None:
    """Write a file atomically with `radapt.atomic_write`, which says what `flush` means.

    Raises:
        StoreError: It cannot be written (`writing`).
    """
    with writing(path):
        atomic_write.write_atomically(path, write, flush=flush)


class Flusher:
    """Flushes files to disk together, at most once a second.

    Flushing a file takes milliseconds, which may be longer than a cell takes; a file system flushes
    many files at once in little more time. A power failure may cost the files of the last second; a
    killed process loses none.
    """

    def __init__(self) -> None:
        """Start without files."""
        self._written: dict[Path, None] = {}  # in the order of writing
        self._flushed = -math.inf

    def add(self, *paths: Path) -> None:
        """Flush files that were written, now or with the files of the next second."""
        self._written |= dict.fromkeys(paths)
        if time.monotonic() - self._flushed >= _BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Wait until the disk has all files; those that were removed meanwhile are left out.

        Raises:
            StoreError: The disk does not take a file (`writing`).
        """
        written, self._written = self._written, {}
        with ThreadPoolExecutor(_FLUSHED_AT_ONCE) as pool:
            list(pool.map(_flush, written))
        self._flushed = time.monotonic()


def _flush(path: Path) -> None:
    with writing(path), suppress(FileNotFoundError):
        atomic_write.flush_to_disk(path)


def refusal(path: Path) -> NotWritable | None:
    """Return why no file can be made beside `path`; None if files can be made there.

    The answer saves a long computation whose outcome could not be stored.

    Args:
        path: What is to be written, named in the message; its folder is created.
    """
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=path.parent):
                pass
    except NotWritable as error:
        return error
    return None


def _for_user(path: Path, error: OSError) -> DiskFull | NotWritable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"{path.parent}: the disk is full; finished cells are stored: free some space and run "
            "the command again"
        )
    why = os.strerror(error.errno) if error.errno else str(error)
    return NotWritable(
        f"{path.parent}: cannot be written to ({why}); not stored: {path.name}; make the "
        "folder writable, or copy the results and name the copy's folder with --results"
    )
