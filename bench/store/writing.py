"""Write files for commands; a refusal of the system becomes a sentence that names the path.

Every file is written under a temporary name and then renamed, so a reader never sees half a file.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from bench.core.errors import DiskFull, NotWritable
from radapt import atomic_write


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


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        StoreError: It cannot be written (`writing`).
    """
    write_atomically(path, lambda part: part.write_text(text, "utf-8"))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically with `radapt.atomic_write`.

    Raises:
        StoreError: It cannot be written (`writing`).
    """
    with writing(path):
        atomic_write.write_atomically(path, write)


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
