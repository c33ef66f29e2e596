"""Atomic writes: a file is replaced by a complete new file, or not changed."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, flush it to disk, and rename it to `path`.

    Several processes may write the same path: each has its own temporary file, and the last
    rename wins.

    Raises:
        OSError: The file cannot be written; `path` is not changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)  # mkstemp makes files that only the owner can read
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
