"""How texts come onto a terminal through rich: as they are, and legible."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from bench.core.terminal import behind, legible


def words(text: str, **style: Any) -> Text:
    """Return a text that is laid out as it will be shown, and is neither markup nor emoji."""
    return Text(legible(text), **style)


class Terminal(Console):
    """A console that writes escape codes of its own alone, whatever it is given to print.

    While a board is live, rich prints through it what libraries and models of the user print.
    """

    def __init__(self, stream: TextIO, width: int | None = None) -> None:
        """Write to a stream, or to what is behind it where it is made legible."""
        super().__init__(file=behind(stream), width=width)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is written, without what is not ours."""
        for text, style, control in super().render(renderable, options):
            if control:
                yield Segment(text, style, control)
            else:
                yield Segment(legible(text), _unlinked(style))


def _unlinked(style: Style | None) -> Style | None:
    """Return a style without a link, which would be written as it is."""
    return style.update_link(None) if style and style.link else style
