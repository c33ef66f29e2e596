"""A file that stays open while many parts of it are read."""

import os
import weakref
from collections import deque
from pathlib import Path

from bench.store.reading import open_regular

_MOST = 32  # files that are open at once; processes may have few descriptors
_open: "deque[weakref.finalize[..., OpenFile]]" = deque()  # calls that close them, oldest first


class OpenFile:
    """A regular file that is opened when it is read, and closed with this object or for others."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is not opened yet."""
        self._path = str(path)
        self._descriptor = -1
        self._close: weakref.finalize[..., OpenFile] | None = None

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the file from a place on; fewer if it ends before.

        Raises:
            OSError: The file does not exist, or cannot be read.
            ValueError: It is not a regular file.
        """
        if self._close is not None and self._close.alive:
            try:
                content = os.pread(self._descriptor, length, start)
            except OSError:
                content = b""
            if len(content) == length:
                return content
            self._close()
        # a network file system may show what was written meanwhile only after opening it again
        return os.pread(self._opened(), length, start)

    def _opened(self) -> int:
        while len(_open) >= _MOST:
            _open.popleft()()  # does nothing if it is closed
        with open_regular(self._path) as file:
            self._descriptor = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._descriptor)
        _open.append(self._close)
        return self._descriptor
