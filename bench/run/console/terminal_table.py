"""Print tables on a terminal, or as plain text to a pipe or a file."""

import sys
from collections.abc import Collection, Iterable, Sequence

from rich.box import HEAVY_HEAD
from rich.measure import Measurement
from rich.table import Table

from bench.run.console.legible_console import Terminal, literal_text

_UNBOUNDED = 1_000_000  # characters; a pipe has no width, so no cell is folded there


def print_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    numbers: Collection[str] = (),
) -> None:
    """Print a table; on a terminal that is too narrow, long cells are wrapped.

    Args:
        head: Names of the columns.
        rows: Rows with one text per column.
        title: Title above the table. A table with a title has a frame.
        numbers: Names of the columns that are aligned to the right.
    """
    table = _table(head, rows, title, numbers)
    if sys.stdout.isatty():
        Terminal(sys.stdout).print(table)
        return
    plain = Terminal(sys.stdout, width=_UNBOUNDED)
    with plain.capture() as text:
        plain.print(table)
    for line in text.get().removesuffix("\n").split("\n"):
        print(line.rstrip())  # rich pads the last column


def fits_terminal(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Return whether a table with a frame fits into the terminal unfolded; a pipe has no width."""
    if not sys.stdout.isatty():
        return True
    screen = Terminal(sys.stdout)
    unbounded = screen.options.update_width(_UNBOUNDED)
    table = _table(head, rows, title=" ", numbers=())
    return Measurement.get(screen, unbounded, table).maximum <= screen.width


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], title: str, numbers: Collection[str]
) -> Table:
    table = Table(
        title=literal_text(title) if title else None, title_justify="left",
        box=HEAVY_HEAD if title else None, pad_edge=bool(title),
        padding=(0, 1) if title else (0, 2, 0, 0),
    )  # fmt: skip
    for name in head:
        table.add_column(
            literal_text(name), justify="right" if name in numbers else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(literal_text, row))
    return table
