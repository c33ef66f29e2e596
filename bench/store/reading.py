"""Read stored files, and distinguish absent, damaged and unreadable files.

An absent file is computed. A damaged file is named on stderr, moved to a folder with its reason
(`bench.store.set_aside`), and computed again. Any other system error ends the command, since
computing again would hide the error and could cost hours.
"""

import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from safetensors import SafetensorError

from bench.core.errors import StoreError, Unreadable
from bench.store.set_aside import keep_copy, set_aside

T = TypeVar("T")
MAX_FILE_BYTES = 64 << 20  # bytes of a stored file: a cell of a million images
_TRANSIENT = (errno.ESTALE, errno.EIO)  # a network file system may recover from these
_PAUSE = 0.2  # seconds before the second try
DAMAGE = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
    SafetensorError,
)  # fmt: skip


def read_with_retry(path: str, read: Callable[[], T]) -> T | None:
    """Return the value of `read()`, or None if the file does not exist.

    After an error that a network file system may recover from, it reads a second time.

    Raises:
        Unreadable: The file cannot be read.
    """
    try:
        try:
            return read()
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise
            time.sleep(_PAUSE)
            return read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreadable(
            f"{path}: cannot be read ({error.strerror or error}); it may be intact, so it is not "
            "replaced: make it readable and run the command again"
        ) from error


def read_stored(path: str, read: Callable[[], T], folder: Path) -> T | None:
    """Return the value of `read()`, or None if the file is absent or damaged.

    Args:
        path: The file.
        read: Opens and parses the file; raises an error in `DAMAGE` if it is damaged.
        folder: The folder that a damaged file is moved to.

    Raises:
        Unreadable: The file cannot be read.
    """
    try:
        return read_with_retry(path, read)
    except DAMAGE:
        pass
    try:  # again, since another process may have replaced the file meanwhile
        return read_with_retry(path, read)
    except DAMAGE as error:
        _set_aside(path, folder, error)
        return None


def read_bytes(path: str) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        ValueError: It is not a regular file, or it is too large.
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise ValueError(f"is larger than {MAX_FILE_BYTES >> 20} MiB")
        return file.read()


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading.

    Links are refused because they may lead anywhere, and pipes because they may never end.

    Raises:
        ValueError: It is not a regular file.
        OSError: It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("is a link") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("is not a regular file")
    return open(descriptor, "rb")


def keep_damaged(folder: Path, path: str, what: str, content: bytes, error: Exception) -> None:
    """Copy a damaged part of a file to a folder with its reason, and name it on stderr.

    Args:
        folder: The folder of the copy.
        path: The file.
        what: Name of the part, and of the copy.
        content: The damaged bytes.
        error: Why they are damaged.
    """
    _tell(path, f"{what}: {_reason(error)}", lambda why: keep_copy(what, content, folder, why))


def _set_aside(path: str, folder: Path, error: Exception) -> None:
    _tell(path, _reason(error), lambda why: set_aside(path, folder, why))


def _tell(path: str, why: str, move: Callable[[str], Path]) -> None:
    try:
        done = f"set aside as {move(why)}"
    except OSError as refused:
        done = f"left in place ({refused.strerror})"
    except StoreError as refused:
        done = f"set aside without the reason ({refused})"
    print(f"{path}: damaged ({why}); {done}; it will be computed again", file=sys.stderr)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
