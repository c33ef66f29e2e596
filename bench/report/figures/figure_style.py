"""Shared parts of the figures: colours and markers of models, names, tables, and saving."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from bench.report.export.leaderboard_values import Row, threat_name
from bench.results.number_format import Scale
from bench.results.spreadsheet import csv_text
from bench.stats import Interval
from bench.store.writing import write_text, writing
from radapt.figures.style import COLOURS, HATCHES, MARKERS, draw

ModelIndices = Mapping[str, int]  # index of each model in the suite
_UNKNOWN = "\u25a1"


def marker_style(index: int) -> dict[str, Any]:
    """Return colour and marker of a model by its index; 49 models have different pairs."""
    count = len(COLOURS)
    marker = MARKERS[(index + index // count) % count]
    return {"color": COLOURS[index % count], "marker": marker, "ls": "none"}


def bar_style(index: int) -> dict[str, Any]:
    """Return colour and hatch of a model's bars by its index."""
    count = len(COLOURS)
    return {"color": COLOURS[index % count], "hatch": HATCHES[(index + index // count) % count]}


def drawable(name: str) -> str:
    """Return a name for matplotlib: `$` is escaped, and a box replaces letters the font lacks."""
    known = _letters()
    return "".join(c if ord(c) in known else _UNKNOWN for c in name).replace("$", r"\$")


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def by_threat(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each threat under its name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(threat_name(row.threat, row.source), []).append(row)
    return found


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
