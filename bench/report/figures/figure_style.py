"""Shared parts of the figures: marks and legend of models, names, tables, and saving."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from bench.report.export.leaderboard_values import Row, threat_name
from bench.results.number_format import Scale
from bench.results.spreadsheet import csv_text
from bench.stats import Interval
from bench.store.writing import write_text, writing
from radapt.figures.marks import colour, has_hole, marker
from radapt.figures.style import SMALL, draw

ModelIndices = Mapping[str, int]  # index of each model in the suite
_UNKNOWN = "\u25a1"
_LETTER = 0.6 * SMALL / 72  # inches: average width of a letter of the small font
_HANDLE = 0.5  # inches: a mark of the legend, with the space around it
_LINE = 0.16  # inches: height of a line of the legend


def marker_style(index: int) -> dict[str, Any]:
    """Return colour and marker of a model by its index."""
    return {"color": colour(index), "marker": marker(index), "ls": "none"}


def line_style(index: int) -> dict[str, Any]:
    """Return the style of a model's line with markers by its index."""
    face = {"markerfacecolor": "white"} if has_hole(index) else {}
    return {**marker_style(index), "ls": "-", **face}


def legend_height(indices: ModelIndices, width: float) -> float:
    """Return the height in inches of the legend of a figure with this width."""
    names = _legend_names(indices, width)
    lines = max(name.count("\n") + 1 for name in names)
    return _LINE * lines * -(-len(names) // _legend_columns(names, width)) + 0.1


def legend(figure: Figure, indices: ModelIndices, handle: Callable[[int], Artist]) -> None:
    """Draw a legend with all models above the panels; `handle` returns the mark of an index."""
    names = _legend_names(indices, width := figure.get_figwidth())
    handles = [handle(index) for index in indices.values()]
    columns = _legend_columns(names, width)
    figure.legend(handles, names, loc="outside upper center", ncols=columns)


def _legend_names(indices: ModelIndices, width: float) -> list[str]:
    return [wrapped(name, width - _HANDLE) for name in indices]


def _legend_columns(names: Sequence[str], width: float) -> int:
    """Return how many columns fit, from the longest name."""
    longest = max(len(line) for name in names for line in name.split("\n"))
    return max(1, int(width / (_HANDLE + _LETTER * longest)))


def wrapped(name: str, width: float) -> str:
    """Return a name for matplotlib, in as many lines as it needs in a width in inches."""
    return "\n".join(map(drawable, textwrap.wrap(name, max(8, int(width / _LETTER))) or [name]))


def label_ticks(side: Axis, places: Sequence[float], names: Sequence[str], width: float) -> None:
    """Label positions on an axis, except those whose label would touch the next one.

    Args:
        side: The axis.
        places: The positions, ascending.
        names: Their labels.
        width: Width of the axis in inches, from the first position to the last.
    """
    inch = (places[-1] - places[0]) / width
    shown, free = [], float("inf")
    for place, name in zip(reversed(places), reversed(names), strict=True):
        half = _LETTER * (len(name) + 1) / 2 * inch
        shown.append(name if place + half <= free else "")
        free = place - half if shown[-1] else free
    side.set_ticks(places, shown[::-1])


def drawable(name: str) -> str:
    """Return a name for matplotlib: `$` is escaped, and a box replaces letters the font lacks."""
    known = _letters()
    return "".join(c if ord(c) in known else _UNKNOWN for c in name).replace("$", r"\$")


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def table_row(row: Row, dataset: str, column: str, rate: Interval) -> dict[str, Any]:
    """Return a number of a figure as a row of the figure's table."""
    return {
        "model": row.model,
        "threat": threat_name(row.threat, row.source),
        "dataset": dataset,
        "attack": column,
        "value": rate.value,
        "ci_low": rate.low,
        "ci_high": rate.high,
    }


def error_bars(rate: Interval, scale: Scale) -> Iterator[list[float]]:
    """Yield the distances from a value to the ends of its interval, for matplotlib's errorbar."""
    yield [scale.factor * max(0.0, rate.value - rate.low)]
    yield [scale.factor * max(0.0, rate.high - rate.value)]


def save(figure: Figure, records: Sequence[dict[str, Any]], stem: Path) -> None:
    """Write a figure and its table."""
    with writing(stem):
        draw(figure, stem)
        # a creation date would change the bytes of an equal figure
        figure.savefig(f"{stem}.pdf", metadata={"CreationDate": None, "Creator": None})
    write_text(stem.with_name(f"{stem.name}.csv"), csv_text(pd.DataFrame(records)))
