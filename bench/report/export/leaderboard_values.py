"""The leaderboards as values with intervals: over all datasets, and per dataset."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from bench.core.types import CLEAN, WORST
from bench.results.board_cells import BoardCells, Flags, Floats, Key
from bench.results.leaderboard import leaderboard
from bench.results.worst_case import stopped_early, survivors
from bench.stats import (
    Interval,
    anytime_mean_interval,
    design_effect,
    mean_interval,
    rate_interval,
)
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of

_KEY = ("model", "threat", "source")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of rates.

    Attributes:
        key: Name of the column in `leaderboard.csv`.
        attack: Name of the attack; `clean` without attack, `worst` for the worst case.
        eps: Radius as the suite writes it; empty for `clean` and `worst`.
        norm: Norm of the budget, `linf` or `l2`; empty for `clean` and `worst`.
        metric: Name suffix of a further metric of the task; empty for the first metric.
    """

    key: str
    attack: str
    eps: str = ""
    norm: str = ""
    metric: str = ""

    @property
    def heading(self) -> str:
        """Heading of the columns that differ in the radius only: `pgd`, `pgd R@5`."""
        return f"{self.attack} {self.metric}".strip()


@dataclass(frozen=True, slots=True)
class Row:
    """A model under a threat.

    Rates are on the scale of the suite's metric: fractions, except for CIDEr-D.

    Attributes:
        rank: Rank within the threat; None if a cell is missing.
        model: Name of the model.
        threat: `white-box` or `transfer`; empty in a suite without attacks.
        source: Source model of transferred images.
        rates: Rate with its 95% interval by column key; None without a number.
        n: Number of images.
        flags: Warnings for the reader.
        spreads: Largest less smallest mean over the seeds of an attack, by column key; empty with
            a single seed.
    """

    rank: int | None
    model: str
    threat: str
    source: str
    rates: Mapping[str, Interval | None]
    n: int
    flags: tuple[str, ...]
    spreads: Mapping[str, float]

    @property
    def key(self) -> Key:
        """Model, threat and source, which identify the row."""
        return self.model, self.threat, self.source


Boards = Mapping[str, tuple[Row, ...]]  # by dataset; "" is the mean over all datasets


def threat_name(threat: str, source: str) -> str:
    """Return the display name of a threat: `transfer from CLIP`; `clean` without attack."""
    return f"{threat} from {source}" if source else threat or CLEAN


def by_threat(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each threat, by its display name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(threat_name(row.threat, row.source), []).append(row)
    return found


def columns(suite: Suite) -> tuple[Column, ...]:
    """Return the columns of rates in the order of `leaderboard.csv`, the worst case last."""
    found = []
    for metric in metrics_of(suite.datasets[0]):
        found.append(Column(metric.column(CLEAN), CLEAN, metric=metric.suffix))
        found += [
            Column(
                metric.column(attack.column(eps)),
                attack.label_in_norm, eps, attack.norm, metric.suffix,
            )
            for attack in suite.attacks
            for eps in attack.eps
        ]  # fmt: skip
    return (*found, Column(WORST, WORST))


def boards(cells: BoardCells, board: pd.DataFrame) -> Boards:
    """Return the rows of the leaderboard over all datasets, and per dataset.

    Intervals come from `bench.stats`: Wilson's interval for a dataset, and its generalisation for
    a mean over several datasets. With several attack seeds, a rate is the mean over the seeds on
    the same images. The worst case of a dataset is a rate over its images like the other columns.
    The interval of a graded score uses the effective sample size.

    Args:
        cells: The cells of the leaderboard.
        board: The leaderboard of `bench.results.leaderboard.leaderboard`.
    """
    suite = cells.suite
    names = [column.key for column in columns(suite)]
    best = metrics_of(suite.datasets[0])[0].highest
    order = {key: place for place, key in enumerate(_keys(board))}
    sequential = _sequential(cells, names)
    by_dataset: dict[str, tuple[Row, ...]] = {}
    # of each dataset, row and column
    rates = np.full((len(suite.datasets), len(order), len(names)), np.nan)
    sizes = np.zeros_like(rates)
    for place, dataset in enumerate(suite.datasets):
        own, of_dataset = cells, board
        if len(suite.datasets) > 1:
            own = cells.on(place)
            of_dataset = leaderboard(own)
        values = of_dataset[names].to_numpy(np.float64)
        keys = _keys(of_dataset)
        worst = {key: len(vector) / float(design_effect(vector))
                 for key, (vector,) in survivors(own).items()}  # fmt: skip
        of_sizes = np.array([_sizes(own, key, len(names), worst.get(key, 0.0)) for key in keys])
        drawn = np.array([sequential[key] for key in keys])
        intervals = _rates(values, of_sizes, drawn, best)
        by_dataset[dataset.name] = tuple(_rows(of_dataset, names, intervals))
        at = [order[key] for key in keys]
        rates[place, at], sizes[place, at] = values / best, of_sizes
    drawn = np.array([sequential[key] for key in order])
    means = _means(board[names].to_numpy(np.float64), rates, sizes, drawn, best)
    return {"": tuple(_rows(board, names, means)), **by_dataset}


def with_intervals(board: pd.DataFrame, rows: Sequence[Row]) -> pd.DataFrame:
    """Return the leaderboard with columns for its 95% intervals after all others.

    Args:
        board: The leaderboard.
        rows: Its rows, in the same order.
    """
    bounds = [
        {
            f"{name} {end}": value
            for name, rate in row.rates.items()
            for end, value in (
                ("ci_low", rate.low if rate else None), ("ci_high", rate.high if rate else None)
            )
        }
        for row in rows
    ]  # fmt: skip
    return pd.concat([board, pd.DataFrame(bounds, dtype=float)], axis=1)


def _sequential(cells: BoardCells, names: Sequence[str]) -> dict[Key, Flags]:
    """Return per row the columns with a cell that stopped when its number was precise enough."""
    arrays, early, found = cells.arrays, stopped_early(cells), {}
    for key, places in cells.places.items():
        columns = np.zeros(len(names), np.bool_)
        columns[np.unique(arrays.column[places[arrays.anytime[places]]])] = True
        columns[-1] = key in early
        found[key] = columns
    return found


def _sizes(cells: BoardCells, key: Key, columns: int, worst: float) -> Floats:
    """Return the effective sample size of each column of a row on one dataset; 0 without number.

    With several attack seeds it is the smallest size.

    Args:
        cells: The cells of the dataset.
        key: The row.
        columns: Number of columns, the worst case last.
        worst: The size of the worst case.
    """
    places = cells.places[key]
    arrays = cells.arrays
    known = places[arrays.samples[places] > 0]
    sizes = np.full(columns, np.inf)
    np.minimum.at(sizes, arrays.column[known], arrays.effective[known])
    sizes[-1] = worst
    return np.where(np.isinf(sizes), 0.0, sizes)


def _rates(values: Floats, sizes: Floats, drawn: Flags, best: float) -> list[list[Interval | None]]:
    """Return the rates of a dataset with their intervals.

    Args:
        values: Of each row and column; NaN without a number.
        sizes: Effective sample sizes; 0 without a number.
        drawn: Whether images were drawn until the number was precise enough.
        best: The best value of the metric.
    """

    def rate(value: float, n: float, anytime: bool) -> Interval | None:
        if not n or isnan(value):
            return None
        low, high = rate_interval(value / best * n, n, anytime=anytime)
        return Interval(value, low * best, high * best)

    rows = zip(values.tolist(), sizes.tolist(), drawn.tolist(), strict=True)
    return [list(map(rate, *row)) for row in rows]


def _means(
    values: Floats, rates: Floats, sizes: Floats, drawn: Flags, best: float
) -> list[list[Interval | None]]:
    """Return the means over datasets with their intervals, which are computed together.

    Args:
        values: Of each row and column; NaN without a number.
        rates: Of each dataset, row and column, divided by `best`.
        sizes: Effective sample sizes in the same order.
        drawn: Whether images were drawn until the number was precise enough.
        best: The best value of the metric.
    """
    known = ~np.isnan(values)
    images, anytime = sizes[:, known].T, drawn[known]
    correct = rates[:, known].T * images
    low, high = mean_interval(correct, images)
    if anytime.any():
        low[anytime], high[anytime] = anytime_mean_interval(correct[anytime], images[anytime])
    found: list[list[Interval | None]] = [[None] * len(row) for row in values]
    bounds = zip(values[known].tolist(), (low * best).tolist(), (high * best).tolist(), strict=True)
    for (row, column), given in zip(np.argwhere(known).tolist(), bounds, strict=True):
        found[row][column] = Interval(*given)
    return found


def _keys(board: pd.DataFrame) -> list[Key]:
    return [_key(record) for record in board[[*_KEY]].to_dict("records")]


def _key(record: Mapping[Any, Any]) -> Key:
    return record["model"], record["threat"], record["source"]


def _rows(
    board: pd.DataFrame, names: Sequence[str], rates: Sequence[Sequence[Interval | None]]
) -> Iterator[Row]:
    """Yield the rows of a leaderboard with the rates of its columns."""
    spread = {f"{name} spread": name for name in names if f"{name} spread" in board}
    told = board[[*_KEY, "rank", "n", "flags", *spread]].to_dict("records")
    for record, of_row in zip(told, rates, strict=True):
        rank = None if pd.isna(record["rank"]) else int(record["rank"])
        spreads = {
            name: float(record[column])
            for column, name in spread.items()
            if not pd.isna(record[column])
        }
        yield Row(
            rank, *_key(record), dict(zip(names, of_row, strict=True)), int(record["n"]),
            tuple(record["flags"].split()), spreads,
        )  # fmt: skip
