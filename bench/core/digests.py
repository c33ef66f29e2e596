"""SHA-256 of files; an unchanged file is hashed once per process."""

import hashlib
from functools import cache
from pathlib import Path


def sha256(path: Path) -> bytes:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: The file cannot be read.
    """
    state = path.stat()
    return _sha256(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def hash_files(paths: list[Path]) -> str:
    """Return one SHA-256, in hexadecimal, over the contents of the files in their order.

    Raises:
        OSError: A file cannot be read.
    """
    return hashlib.sha256(b"".join(map(sha256, paths))).hexdigest()
