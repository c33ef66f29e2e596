"""What may reach a terminal: text alone, and nothing that a terminal obeys.

Names, paths, notes and messages may come from a stranger's suite, checkpoint or results. Escape
codes in them could write into the window's title or the clipboard, hide lines, or pass for ours.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

# C0 without tab and newline, DEL, C1; what sets or isolates the direction of writing; signs without
# width, but for the spaces and joiners that some scripts are written with; halves of characters,
# which files cannot hold
_ILLEGIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2060-\u2064\ufeff\ud800-\udfff]"
)


def legible(text: str) -> str:
    """Return a text with U+FFFD for what a terminal would obey or hide; lines and tabs stay."""
    return _ILLEGIBLE.sub("\ufffd", text)


class Legible(io.TextIOBase):
    """A stream of text that is made legible on its way to another stream."""

    def __init__(self, inner: TextIO) -> None:
        """Write to `inner`, which stays open."""
        self.inner = inner

    def write(self, text: str) -> int:
        """Write a text as `legible` returns it."""
        self.inner.write(legible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        """Write texts, one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self.inner.flush()

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self.inner.fileno()

    def isatty(self) -> bool:
        """Return whether the stream behind is a terminal."""
        return self.inner.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return self.inner.encoding

    def __getattr__(self, name: str) -> Any:
        """Return what else a stream of a file has, as `buffer`."""
        return getattr(self.inner, name)


@contextmanager
def legible_output() -> Iterator[None]:
    """Make all legible that this process writes to `sys.stdout` and `sys.stderr` meanwhile."""
    out, err = (cast(TextIO, Legible(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield


def behind(stream: TextIO) -> TextIO:
    """Return the stream as it was, for who makes texts legible and then writes colours."""
    return stream.inner if isinstance(stream, Legible) else stream
