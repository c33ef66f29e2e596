"""The leaderboards as values with intervals: over all datasets, and per dataset."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.core.types import CLEAN, WORST
from bench.results.leaderboard import leaderboard, stopped_early, survivors
from bench.results.tables import Scored
from bench.stats import (
    Interval,
    anytime_mean_interval,
    design_effect,
    mean_interval,
    rate_interval,
)
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of

Key = tuple[str, str, str]  # model, threat, source


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


def boards(suite: Suite, scored: Sequence[Scored], board: pd.DataFrame) -> Boards:
    """Return the rows of the leaderboard over all datasets, and per dataset.

    Intervals come from `bench.stats`: Wilson's interval for a dataset, and its generalisation for
    a mean over several datasets. With several attack seeds, a rate is the mean over the seeds on
    the same images. The worst case of a dataset is a rate over its images like the other columns.
    The interval of a graded score uses the effective sample size.

    Args:
        suite: The suite.
        scored: Cells with their results.
        board: The leaderboard of `bench.results.leaderboard.leaderboard`.
    """
    names = [column.key for column in columns(suite)]
    sequential = _sequential(suite, scored)
    sizes = _effective_sizes(scored)
    best = metrics_of(suite.datasets[0])[0].highest
    by_dataset: dict[str, tuple[Row, ...]] = {}
    counts: dict[tuple[Key, str], list[float]] = {}
    for dataset in suite.datasets:
        single, own, of_dataset = suite, scored, board
        if len(suite.datasets) > 1:
            single = suite.model_copy(update={"datasets": (dataset,)})
            own = [item for item in scored if item.cell.dataset == dataset.name]
            of_dataset = leaderboard(single, own)
        worst = {key: len(vector) / float(design_effect(vector))
                 for key, (vector,) in survivors(single, own).items()}  # fmt: skip
        rows = []
        for record in of_dataset.to_dict("records"):
            key, rates = _key(record), dict[str, Interval | None]()
            for name in names:
                n = worst.get(key, 0) if name == WORST else _size(sizes, key, dataset.name, name)
                counts.setdefault((key, name), []).append(n)
                value = record[name]
                known = n > 0 and not pd.isna(value)
                anytime = (key, name) in sequential
                rates[name] = _rate(float(value), n, best, anytime) if known else None
            rows.append(_row(record, rates))
        by_dataset[dataset.name] = tuple(rows)
    by_key = [{row.key: row for row in rows} for rows in by_dataset.values()]
    means = _means(board, names, by_key, counts, best, sequential)
    return {"": tuple(means), **by_dataset}


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


def _sequential(suite: Suite, scored: Sequence[Scored]) -> set[tuple[Key, str]]:
    """Return the rows and columns with a cell that stopped when its number was precise enough."""
    worst = {(key, WORST) for key in stopped_early(suite, scored)}
    return worst | {(_key_of(item), item.column) for item in scored if item.anytime}


def _effective_sizes(scored: Sequence[Scored]) -> Mapping[tuple[Key, str, str], float]:
    """Return effective sample sizes by row, dataset and column; clean keys have only the model.

    With several attack seeds it is the smallest size.
    """
    found: dict[tuple[Key, str, str], float] = {}
    for item in scored:
        cell = item.cell
        if item.shares is not None:
            place, size = (_key_of(item), cell.dataset, item.column), item.effective_size
            found[place] = min(size, found.get(place, size))
    return found


def _key_of(item: Scored) -> Key:
    cell = item.cell
    return cell.target, cell.threat.kind if cell.threat else "", item.source


def _size(sizes: Mapping[tuple[Key, str, str], float], key: Key, dataset: str, name: str) -> float:
    clean = (key[0], "", "")
    return sizes.get((key, dataset, name)) or sizes.get((clean, dataset, name)) or 0.0


def _rate(value: float, n: float, best: float, anytime: bool) -> Interval:
    bounds = rate_interval(value / best * n, n, anytime=anytime)
    return Interval(value / best, *bounds).scaled(best)


def _means(
    board: pd.DataFrame,
    names: Sequence[str],
    by_key: Sequence[Mapping[Key, Row]],
    counts: Mapping[tuple[Key, str], Sequence[float]],
    best: float,
    sequential: Collection[tuple[Key, str]],
) -> Iterator[Row]:
    """Yield the rows over all datasets; their intervals are computed together, to save time."""
    records = board.to_dict("records")
    given = [
        (_key(record), name) for record in records for name in names if not pd.isna(record[name])
    ]
    images = np.array([counts[place] for place in given]).reshape(-1, len(by_key))
    rates = [[of.rates[name] for of in (rows[key] for rows in by_key)] for key, name in given]
    right = np.array([[rate.value if rate else np.nan for rate in some] for some in rates])
    correct = right.reshape(images.shape) / best * images
    low, high = mean_interval(correct, images)
    if stopped := [index for index, place in enumerate(given) if place in sequential]:
        low[stopped], high[stopped] = anytime_mean_interval(correct[stopped], images[stopped])
    both = zip((low * best).tolist(), (high * best).tolist(), strict=True)
    bounds = dict(zip(given, both, strict=True))
    for record in records:
        key = _key(record)
        yield _row(
            record,
            {
                name: Interval(float(record[name]), *bounds[key, name])
                if (key, name) in bounds
                else None
                for name in names
            },
        )


def _key(record: Mapping[Any, Any]) -> Key:
    return record["model"], record["threat"], record["source"]


def _row(record: Mapping[Any, Any], rates: Mapping[str, Interval | None]) -> Row:
    rank = None if pd.isna(record["rank"]) else int(record["rank"])
    flags = tuple(record["flags"].split())
    named = {name: record.get(f"{name} spread") for name in rates}
    spreads = {name: float(value) for name, value in named.items() if not pd.isna(value)}
    return Row(rank, *_key(record), rates, int(record["n"]), flags, spreads)
