"""SHA-256 of files, computed once in a process while they stay as they are."""

import hashlib
from functools import cache
from pathlib import Path


def sha256(path: Path) -> bytes:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    state = path.stat()
    return _sha256(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def hash_files(paths: list[Path]) -> str:
    """Return one SHA-256 over the contents of some files, in order.

    Raises:
        OSError: A file cannot be read.
    """
    return hashlib.sha256(b"".join(map(sha256, paths))).hexdigest()
