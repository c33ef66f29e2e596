"""SHA-256 of files and folders; an unchanged file is hashed once per process."""

import gzip
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def sha256(path: Path, *, unpacked: bool = False) -> bytes:
    """Return the SHA-256 of a file's content.

    Args:
        path: The file.
        unpacked: Whether to hash what a file compressed with gzip contains.

    Raises:
        OSError: The file cannot be read.
        EOFError, zlib.error: The compressed file is truncated or damaged.
    """
    state = path.stat()
    return _sha256(path.resolve(), state.st_size, state.st_mtime_ns, unpacked)


@cache
def _sha256(path: Path, size: int, changed: int, unpacked: bool) -> bytes:
    with gzip.open(path, "rb") if unpacked else path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def hash_files(paths: list[Path]) -> str:
    """Return one SHA-256, in hexadecimal, over the contents of the files in their order.

    Raises:
        OSError: A file cannot be read.
    """
    return hashlib.sha256(b"".join(map(sha256, paths))).hexdigest()


def hash_folder(folder: Path, suffix: str = "") -> str:
    """Return one SHA-256, in hexadecimal, over the contents and relative paths of a folder's files.

    Files at any depth count, except hidden ones and those in `__pycache__`.

    Args:
        folder: The folder.
        suffix: End of the names of the files that count.

    Raises:
        OSError: A file cannot be read.
    """
    files = sorted(_files_below(folder, suffix))
    names = [file.relative_to(folder).as_posix() for file in files]
    return hashlib.sha256(f"{names} {hash_files(files)}".encode()).hexdigest()


def _files_below(folder: Path, suffix: str) -> Iterator[Path]:
    # links to folders are not followed, because they may form a loop
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        paths = (Path(root, name) for name in names if name[0] != "." and name.endswith(suffix))
        yield from (path for path in paths if path.is_file())  # a pipe may never end
