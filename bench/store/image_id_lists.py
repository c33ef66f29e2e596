"""Lists of images: most cells of a dataset have the same images, so their ids are stored once.

<folder>/<digest>.images    the ids of the images, as a JSON list
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from bench.core.identifiers import ID_LENGTH
from bench.store.reading import read_bytes, read_with_retry
from bench.store.writing import write_text

SUFFIX = ".images"
_NONE = bytes(ID_LENGTH // 2)  # stands for the empty list, of a cell that has no number


class ImageLists:
    """The lists of images in a folder; each is read and written once."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it need not exist."""
        self._folder = folder
        self._known: dict[bytes, tuple[str, ...]] = {_NONE: ()}
        self._digests: dict[tuple[str, ...], bytes] = {(): _NONE}

    def store(self, ids: tuple[str, ...]) -> bytes:
        """Return the digest of a list, 10 bytes, after it was stored.

        Raises:
            StoreError: It cannot be written.
        """
        digest = self._digests.get(ids)
        if digest is None:
            text = _text(ids)
            digest = _digest(text)
            path = self._path(digest)
            if not path.is_file() or path.read_bytes() != text.encode():
                write_text(path, text)
            self._known[digest], self._digests[ids] = ids, digest
        return digest

    def get(self, digest: bytes) -> tuple[str, ...]:
        """Return the list with a digest.

        Raises:
            Unreadable: It cannot be read.
            ValueError, TypeError: It is absent or damaged.
        """
        if digest not in self._known:
            path = self._path(digest)
            text = read_with_retry(str(path), lambda: read_bytes(str(path)))
            if text is None:
                raise ValueError(f"its list of images is missing: {path.name}")
            if _digest(text.decode()) != digest:
                raise ValueError(f"its list of images is damaged: {path.name}")
            ids = tuple(json.loads(text))
            self._known[digest], self._digests[ids] = ids, digest
        return self._known[digest]

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}{SUFFIX}"


def _text(ids: Sequence[str]) -> str:
    return json.dumps(ids)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[: ID_LENGTH // 2]
