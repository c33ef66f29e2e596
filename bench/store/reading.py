"""Read stored files: what is absent, what is damaged and what cannot be read are kept apart.

Absent means that the file is not there: it is computed. A damaged file is named on stderr, set
aside as `<name>.damaged`, and computed again. Any other error of the system ends the command, since
computing again would hide it and cost hours.
"""

import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from safetensors import SafetensorError

from bench.core.errors import Unreadable

T = TypeVar("T")
MAX_FILE_BYTES = 64 << 20  # bytes of a stored file: a cell of a million images
_PASSING = (errno.ESTALE, errno.EIO)  # a network file system may recover from these
_PAUSE = 0.2  # seconds before the second try
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, SafetensorError)


def read_with_retry(path: str, read: Callable[[], T]) -> T | None:
    """Return what `read` returns, or None where the file is not there.

    An error that a network file system may recover from is tried a second time.

    Raises:
        Unreadable: The system refuses.
    """
    try:
        try:
            return read()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            time.sleep(_PAUSE)
            return read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreadable(
            f"{path}: cannot be read ({error.strerror or error}); it may be whole, so nothing "
            "is put in its place: try again once it can be read"
        ) from error


def read_stored(path: str, read: Callable[[], T]) -> T | None:
    """Return what `read` makes of one of our files, or None where it is absent or damaged.

    Args:
        path: The file.
        read: Opens and parses it; raises one of `DAMAGE` where it is damaged.

    Raises:
        Unreadable: The system refuses.
    """
    try:
        return read_with_retry(path, read)
    except DAMAGE:
        pass
    try:  # once more: a whole file may just have been put in its place
        return read_with_retry(path, read)
    except DAMAGE as error:
        _set_aside(path, error)
        return None


def read_bytes(path: str) -> bytes:
    """Return the bytes of an ordinary file.

    A link may lead anywhere, and a pipe never ends: neither is read.

    Raises:
        ValueError: It is no ordinary file, or too long.
        OSError: It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("is a link") from error
        raise
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > MAX_FILE_BYTES:
            raise ValueError(f"is no file of at most {MAX_FILE_BYTES >> 20} MiB")
        return file.read()


def _set_aside(path: str, error: Exception) -> None:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    try:
        os.replace(path, f"{path}.damaged")
        done = f"set aside as {os.path.basename(path)}.damaged"
    except OSError as refused:
        done = f"left in place ({refused.strerror})"
    print(f"{path}: damaged ({why}); {done}, to be computed again", file=sys.stderr)
