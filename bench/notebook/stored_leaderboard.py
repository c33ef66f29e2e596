"""Reads `leaderboard.json`: the leaderboards with all that tables and figures need."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.program import PROGRAM
from bench.core.suggestions import listed
from bench.report.export.leaderboard_values import Boards, Column, Row
from bench.results.number_format import Scale
from bench.stats import Interval


@dataclass(frozen=True, slots=True)
class StoredLeaderboard:
    """The leaderboards of a suite, as its last run or export wrote them.

    Attributes:
        suite: Name of the suite.
        models: All models, in the order of the suite.
        scale: Number format of the suite's metric.
        columns: Columns of rates.
        boards: Leaderboards by dataset; `""` is the mean over all datasets.
    """

    suite: str
    models: tuple[str, ...]
    scale: Scale
    columns: tuple[Column, ...]
    boards: Boards

    def rows(self, dataset: str | None) -> tuple[Row, ...]:
        """Return the leaderboard of a dataset; None for the mean over all datasets.

        Raises:
            UserError: The suite has no such dataset.
        """
        if (dataset or "") not in self.boards:
            allowed = listed(dataset, [name for name in self.boards if name])
            raise UserError(f"dataset: got {dataset!r}; allowed: {allowed}")
        return self.boards[dataset or ""]


def read_leaderboard(folder: Path) -> StoredLeaderboard:
    """Read the leaderboards of a results folder.

    Raises:
        UserError: The file is missing, or an earlier version wrote it.
    """
    path = folder / "leaderboard.json"
    again = f"write it with `{PROGRAM} export SUITE`"
    try:
        entries = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {again}") from None
    if "columns" not in entries:
        raise UserError(f"{path}: an earlier version wrote this file; {again}")
    return StoredLeaderboard(
        entries["suite"],
        tuple(entries["models"]),
        Scale(**entries["scale"]),
        tuple(Column(**column) for column in entries["columns"]),
        {
            "": tuple(map(_row, entries["rows"])),
            **{name: tuple(map(_row, rows)) for name, rows in entries["by_dataset"].items()},
        },
    )


def _row(record: dict[str, Any]) -> Row:
    rates = {key: _rate(rate) for key, rate in record["rates"].items()}
    key = record["model"], record["threat"], record["source"]
    return Row(record["rank"], *key, rates, record["n"], tuple(record["flags"]), {})


def _rate(rate: dict[str, float] | None) -> Interval | None:
    return None if rate is None else Interval(rate["value"], rate["low"], rate["high"])
