"""Print the leaderboard on a terminal."""

from typing import Any

import pandas as pd

from bench.report.export import shown
from bench.results.leaderboard import ABOUT_RANKS
from bench.results.number_format import Scale
from bench.run.console.terminal_table import print_table

_MOST_ROWS = 200  # a terminal shows no more at once than a reader can look through


def print_leaderboard(board: pd.DataFrame, title: str, scale: Scale) -> None:
    """Print the leaderboard, one table per threat model; of a long one only the first rows."""
    shown_rows = board.head(_MOST_ROWS)
    for (threat, source), rows in shown_rows.groupby(["threat", "source"], sort=False):
        name = f"{threat} from {source}" if source else threat or "clean"
        columns = [c for c in rows.columns if c not in ("threat", "source", "datasets")]
        print_table(
            columns,
            [[_cell(c, row[c], scale) for c in columns] for row in rows.to_dict("records")],
            title=f"{title}: {name}",
            numbers=[c for c in columns if c not in ("model", "flags")],
        )
    if len(board) > _MOST_ROWS:
        print(f"{_MOST_ROWS:,} of {len(board):,} rows; all of them are in leaderboard.csv")
    if board.filter(["rank"]).notna().any(axis=None):
        print(ABOUT_RANKS)


def _cell(column: str, value: Any, scale: Scale) -> str:
    if column in ("clean", "worst") or "@" in column:
        return shown(value, scale)
    return "–" if pd.isna(value) else str(value)
