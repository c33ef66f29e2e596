"""A file that stays open while many parts of it are read."""

import os
import weakref
from pathlib import Path

from bench.store.reading import open_regular


class OpenFile:
    """A regular file that is opened when it is first read, and closed with this object."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is not opened yet."""
        self._path = str(path)
        self._descriptor: int | None = None
        self._close: weakref.finalize[..., OpenFile] | None = None

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the file from a place on; fewer if it ends before.

        Raises:
            OSError: The file does not exist, or cannot be read.
            ValueError: It is not a regular file.
        """
        if self._descriptor is not None:
            try:
                content = os.pread(self._descriptor, length, start)
            except OSError:
                content = b""
            if len(content) == length:
                return content
        # a network file system may show what was written meanwhile only after opening it again
        return os.pread(self._opened(), length, start)

    def _opened(self) -> int:
        if self._close is not None:
            self._close()
        self._descriptor = None
        with open_regular(self._path) as file:
            self._descriptor = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor
