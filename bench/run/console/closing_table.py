"""The leaderboard on a terminal."""

import sys
from typing import Any

import pandas as pd
from rich.table import Table

from bench.report.export import shown
from bench.results.number_format import Scale
from bench.run.console.door import Terminal, words


def print_leaderboard(board: pd.DataFrame, title: str, scale: Scale) -> None:
    """Print the leaderboard, one table per threat."""
    console = Terminal(sys.stdout, width=None if sys.stdout.isatty() else 200)
    for (threat, source), rows in board.groupby(["threat", "source"], sort=False):
        name = f"{threat} from {source}" if source else threat or "clean"
        table = Table(title=words(f"{title}: {name}"), title_justify="left", caption_justify="left")
        columns = [c for c in rows.columns if c not in ("threat", "source", "datasets")]
        for column in columns:
            text = column in ("model", "flags")
            table.add_column(words(column), justify="left" if text else "right", no_wrap=text)
        for row in rows[columns].to_dict("records"):
            table.add_row(
                *[words(_cell(str(column), value, scale)) for column, value in row.items()]
            )
        console.print(table)


def _cell(column: str, value: Any, scale: Scale) -> str:
    if column in ("clean", "worst") or "@" in column:
        return shown(value, scale)
    return "–" if pd.isna(value) else str(value)
