"""Replace control characters in text for terminals.

Names, paths, notes and messages may come from a stranger's suite, checkpoint or results. Escape
codes in them could change the window's title or the clipboard, hide lines, or imitate our output.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

# C0 without tab and newline, DEL, C1; bidirectional controls; zero-width characters, except the
# spaces and joiners that some scripts need; lone surrogates, which cannot be written to files
_ILLEGIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2060-\u2064\ufeff\ud800-\udfff]"
)


def legible(text: str) -> str:
    """Return a text with U+FFFD in place of control characters; newlines and tabs are kept."""
    return _ILLEGIBLE.sub("\ufffd", text)


class Legible(io.TextIOBase):
    """A text stream that passes text through `legible` and writes it to another stream."""

    def __init__(self, inner: TextIO) -> None:
        """Set the stream to write to; it is not closed."""
        self.inner = inner

    def write(self, text: str) -> int:
        """Write a text with control characters replaced."""
        self.inner.write(legible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        """Write texts, one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the inner stream."""
        self.inner.flush()

    def fileno(self) -> int:
        """Return the file descriptor of the inner stream."""
        return self.inner.fileno()

    def isatty(self) -> bool:
        """Return whether the inner stream is a terminal."""
        return self.inner.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the inner stream."""
        return self.inner.encoding

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the inner stream, such as `buffer`."""
        return getattr(self.inner, name)


@contextmanager
def legible_output() -> Iterator[None]:
    """Replace control characters in all text written to stdout and stderr inside the block."""
    out, err = (cast(TextIO, Legible(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield


def inner_stream(stream: TextIO) -> TextIO:
    """Return the inner stream of a `Legible`, for callers that write colours to it themselves."""
    return stream.inner if isinstance(stream, Legible) else stream
