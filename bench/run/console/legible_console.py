"""Texts for rich: printed literally, with control characters replaced."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from bench.core.terminal import inner_stream, legible


def literal_text(text: str, **style: Any) -> Text:
    """Return a rich text that is printed literally, without markup or emoji codes."""
    return Text(legible(text), **style)


class Terminal(Console):
    """A rich console that removes escape codes from the texts that it prints.

    While a live board is shown, the output of libraries and of the user's models passes through it.
    """

    def __init__(self, stream: TextIO, width: int | None = None) -> None:
        """Write to a stream; if it is a `Legible` stream, to the stream inside it."""
        super().__init__(file=inner_stream(stream), width=width)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of a renderable, with control characters and links removed."""
        for text, style, control in super().render(renderable, options):
            if control:
                yield Segment(text, style, control)
            else:
                yield Segment(legible(text), _unlinked(style))


def _unlinked(style: Style | None) -> Style | None:
    """Return a style without its link, because rich writes the link's text unfiltered."""
    return style.update_link(None) if style and style.link else style
