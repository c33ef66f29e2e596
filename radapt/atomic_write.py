"""Atomic writes: a file is replaced by a complete new file, or not changed."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object], *, flush: bool = True) -> None:
    """Call `write` on a temporary file beside `path`, flush it to disk, and rename it to `path`.

    Several processes may write the same path: each has its own temporary file, and the last
    rename wins.

    Args:
        path: The file.
        write: Writes the content to the path that it receives.
        flush: Whether to wait until the disk has the content, which takes milliseconds. Without it,
            a power failure within the next seconds may leave an empty file; if only the process
            is killed, the file is complete.

    Raises:
        OSError: The file cannot be written; `path` is not changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        if flush:
            flush_to_disk(part)
        part.chmod(0o644)  # mkstemp makes files that only the owner can read
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def flush_to_disk(path: Path) -> None:
    """Wait until the disk has the content of a file.

    Raises:
        OSError: The file does not exist, or the disk does not take it.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
