"""SHA-256 of files and folders; an unchanged file is hashed once per process, a large one once."""

import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from bench.core.remembered_digests import FileState, recall, remember, state_of

_LARGE = 64 * 2**20  # bytes, read in about 0.1 s; the digests of smaller files are not kept on disk
_MOST = 100_000  # files whose digests are held, in 90 MB
_known: dict[tuple[FileState, bool], bytes] = {}


def sha256(path: Path, *, unpacked: bool = False) -> bytes:
    """Return the SHA-256 of a file's content.

    Args:
        path: The file.
        unpacked: Whether to hash what a file compressed with gzip contains.

    Raises:
        OSError: The file cannot be read.
        EOFError, zlib.error: The compressed file is truncated or damaged.
    """
    return _digests([path], unpacked)[0]


def hash_files(paths: Sequence[Path]) -> str:
    """Return one SHA-256, in hexadecimal, over the contents of the files in their order.

    Raises:
        OSError: A file cannot be read.
    """
    return hashlib.sha256(b"".join(_digests(paths, unpacked=False))).hexdigest()


def hash_folder(folder: Path, suffix: str = "") -> str:
    """Return one SHA-256, in hexadecimal, over the contents and relative paths of a folder's files.

    Files at any depth count, except hidden ones and those in `__pycache__`. Of a link to another
    folder inside, its destination counts.

    Args:
        folder: The folder.
        suffix: End of the names of the files that count.

    Raises:
        OSError: A file cannot be read, or a link leads to a folder outside.
    """
    files = sorted(files_below(folder, suffix))
    names = [file.relative_to(folder).as_posix() for file in files]
    links = [] if suffix else sorted(_links_below(folder))
    content = f"{names} {hash_files(files)}{f' {links}' if links else ''}"
    return hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()


def files_below(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Yield the files of a folder that `hash_folder` hashes.

    Raises:
        OSError: A folder cannot be read.
    """
    for root, _, names in _walk(folder):
        paths = (Path(root, name) for name in names if name[0] != "." and name.endswith(suffix))
        yield from (path for path in paths if path.is_file())  # a pipe may never end


def _links_below(folder: Path) -> Iterator[tuple[str, str]]:
    for root, folders, _ in _walk(folder):
        for link in (Path(root, name) for name in folders if os.path.islink(Path(root, name))):
            target, top = link.resolve(), folder.resolve()
            if not target.is_relative_to(top):
                raise OSError(f"{link} is a link to a folder outside of {folder}")
            yield link.relative_to(folder).as_posix(), target.relative_to(top).as_posix()


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    # links to folders are not followed, because they may form a loop
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        yield root, folders, names


def _raise(error: OSError) -> None:
    raise error


def _digests(paths: Sequence[Path], unpacked: bool) -> list[bytes]:
    """Return the digest of each file; those of large files are kept for other processes."""
    states = [state_of(path) for path in paths]
    new = [state for state in states if (state, unpacked) not in _known]
    if sum(state.size for state in new) >= _LARGE:
        _recall_or_hash(new, unpacked)
    digests = [_digest(state, unpacked) for state in states]
    for oldest in list(islice(_known, max(0, len(_known) - _MOST))):
        del _known[oldest]
    return digests


def _recall_or_hash(new: Sequence[FileState], unpacked: bool) -> None:
    """Find the digests of files together: those that another process kept, or else by hashing."""
    how = "unpacked" if unpacked else "as it is"
    found = recall(new, how)
    if found is None:
        settled = all(state.settled for state in new)
        found = [_digest(state, unpacked) for state in new]
        if settled and [state_of(state.path) for state in new] == new:
            remember(new, how, found)
    _known.update(zip(((state, unpacked) for state in new), found, strict=True))


def _digest(state: FileState, unpacked: bool) -> bytes:
    key = (state, unpacked)
    if key not in _known:
        with gzip.open(state.path, "rb") if unpacked else state.path.open("rb") as file:
            _known[key] = hashlib.file_digest(file, "sha256").digest()
    return _known[key]
