"""What the figures of results share: how models look, what names are drawn, what is written."""

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
from bench.store.results_folder import write_text
from radapt.figures.style import COLOURS, HATCHES, MARKERS, draw

Places = Mapping[str, int]  # of models in the suite
_UNKNOWN = "\u25a1"


def look(place: int) -> dict[str, Any]:
    """Return colour and marker of a model by its place; no pair comes twice among 49."""
    count = len(COLOURS)
    marker = MARKERS[(place + place // count) % count]
    return {"color": COLOURS[place % count], "marker": marker, "ls": "none"}


def filling(place: int) -> dict[str, Any]:
    """Return colour and hatch of a model's bars by its place."""
    count = len(COLOURS)
    return {"color": COLOURS[place % count], "hatch": HATCHES[(place + place // count) % count]}


def drawn(name: str) -> str:
    """Return a name as it can be drawn: no formula, and a box for what the font lacks."""
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


def record(row: Row, dataset: str, column: str, rate: Interval) -> dict[str, Any]:
    """Return a number of a figure as a row of its table."""
    return {
        "model": row.model,
        "threat": threat_name(row.threat, row.source),
        "dataset": dataset,
        "attack": column,
        "value": rate.value,
        "ci_low": rate.low,
        "ci_high": rate.high,
    }


def reach(rate: Interval, scale: Scale) -> Iterator[list[float]]:
    """Yield how far an interval goes below and above its value, as matplotlib asks."""
    yield [scale.factor * max(0.0, rate.value - rate.low)]
    yield [scale.factor * max(0.0, rate.high - rate.value)]


def save(figure: Figure, records: Sequence[dict[str, Any]], stem: Path) -> None:
    """Write a figure with its table, which a spreadsheet may open."""
    draw(figure, stem)
    write_text(stem.with_name(f"{stem.name}.csv"), csv_text(pd.DataFrame(records)))
    # a date would make other bytes of the same figure
    figure.savefig(f"{stem}.pdf", metadata={"CreationDate": None, "Creator": None})
