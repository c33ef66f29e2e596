"""Print the leaderboard on a terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from bench.core.types import CLEAN, WORST
from bench.report.export import shown
from bench.report.export.leaderboard_values import threat_name
from bench.results.leaderboard import ABOUT_RANKS
from bench.results.number_format import Scale
from bench.run.console.terminal_table import fits_terminal, print_table

# a terminal shows no more at once than a reader can look through, and a wide table takes long
_MOST_ROWS, _FEWEST_ROWS = 200, 10
_MOST_CELLS = 8000
_SUMMARY = ("rank", "model", CLEAN, WORST, "n")
_TEXTS = ("model", "flags")  # columns that are aligned to the left
_Rows = Sequence[dict[str, str]]


def print_leaderboard(board: pd.DataFrame, title: str, scale: Scale) -> None:
    """Print the leaderboard, one table per threat model; of a long one only the first rows.

    A table that is wider than the terminal becomes several: a summary, one per radius, and flags.
    """
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _MOST_CELLS // len(board.columns)))
    shown_rows = board.head(most)
    for (threat, source), frame in shown_rows.groupby(["threat", "source"], sort=False):
        name = threat_name(str(threat), str(source))
        columns = [c for c in frame.columns if c not in ("threat", "source", "datasets")]
        rows = [{c: _cell(c, row[c], scale) for c in columns} for row in frame.to_dict("records")]
        if fits_terminal(columns, _texts(columns, rows)):
            _print(f"{title}: {name}", columns, rows)
        else:
            _print_in_parts(title, name, columns, rows)
    if len(board) > most:
        print(f"{most:,} of {len(board):,} rows; all of them are in leaderboard.csv")
    if board.filter(["rank"]).notna().any(axis=None):
        print(ABOUT_RANKS)


def _print_in_parts(title: str, name: str, columns: Sequence[str], rows: _Rows) -> None:
    """Print a table that is too wide as several tables with the models in the same order."""
    _print(f"{title}: {name}", [c for c in _SUMMARY if c in columns], rows)
    groups: dict[str, list[str]] = {}
    for column in columns:
        if column not in (*_SUMMARY, "flags"):
            groups.setdefault(_radius(column), []).append(column)
    for radius, members in groups.items():
        short = {c: c.replace(f"@{radius}", "", 1) if radius else c for c in members}
        renamed = [{short.get(c, c): text for c, text in row.items()} for row in rows]
        for some in _fitting([*short.values()], renamed):
            _print(f"{name}{f' at {radius}' if radius else ''}", ["model", *some], renamed)
    if flagged := [row for row in rows if row.get("flags")]:
        _print(f"{name}: flags", ["model", "flags"], flagged)


def _radius(column: str) -> str:
    """Return the radius of an attack's column, `pgd@4/255`; empty for other columns."""
    if column.startswith(CLEAN):  # `clean R@5`
        return ""
    return column.partition("@")[2].partition(" ")[0]


def _fitting(columns: Sequence[str], rows: _Rows) -> Iterator[Sequence[str]]:
    """Yield the columns in order, as many at once as fit into the terminal beside the model."""
    while columns:
        count = len(columns)
        while count > 1 and not _fits(columns[:count], rows):
            count -= 1
        yield columns[:count]
        columns = columns[count:]


def _fits(columns: Sequence[str], rows: _Rows) -> bool:
    head = ["model", *columns]
    return fits_terminal(head, _texts(head, rows))


def _print(title: str, columns: Sequence[str], rows: _Rows) -> None:
    numbers = [c for c in columns if c not in _TEXTS]
    print_table(columns, _texts(columns, rows), title=title, numbers=numbers)


def _texts(columns: Sequence[str], rows: _Rows) -> list[list[str]]:
    return [[row[c] for c in columns] for row in rows]


def _cell(column: str, value: Any, scale: Scale) -> str:
    if column in (CLEAN, WORST) or "@" in column:
        return shown(value, scale)
    return "–" if pd.isna(value) else str(value)
