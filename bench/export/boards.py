"""The leaderboard as values: over all datasets and over each, every rate with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.compare import Interval, mean_of
from bench.metrics import metrics_of, suffix
from bench.specs import task_of
from bench.stats import wilson
from bench.suite import Suite
from bench.tables import Scored, leaderboard

WORST = "worst"
Key = tuple[str, str, str]  # model, threat, source


@dataclass(frozen=True, slots=True)
class Column:
    """A column of rates.

    Attributes:
        key: Its name in `leaderboard.csv`.
        attack: Name of the attack; `clean` where there is none, `worst` for the worst case.
        eps: The budget as the suite has it; empty for `clean` and `worst`.
        norm: Of the budget, `linf` or `l2`; empty likewise.
        metric: What the name of a further metric of the task ends in; empty for the first.
    """

    key: str
    attack: str
    eps: str = ""
    norm: str = ""
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One model under one threat.

    Attributes:
        rank: Within the threat; None where a cell is missing.
        model: Name of the model.
        threat: `white-box` or `transfer`; empty in a suite without attacks.
        source: Model that transferred images come from.
        rates: By key of the column, with 95% intervals; None where there is no number.
        n: Images behind the row.
        flags: What a reader must know of it.
    """

    rank: int | None
    model: str
    threat: str
    source: str
    rates: Mapping[str, Interval | None]
    n: int
    flags: tuple[str, ...]

    @property
    def key(self) -> Key:
        """What tells the row from others."""
        return self.model, self.threat, self.source


Boards = Mapping[str, tuple[Row, ...]]  # by dataset; "" has the means over all


def threat_name(threat: str, source: str) -> str:
    """Return a threat in words: `transfer from CLIP`; `clean` where nothing is attacked."""
    return f"{threat} from {source}" if source else threat or "clean"


def columns(suite: Suite) -> tuple[Column, ...]:
    """Return the columns of rates in the order of `leaderboard.csv`, the worst case last."""
    found = []
    for ending in map(suffix, metrics_of(task_of(suite.datasets[0]))):
        found.append(Column(f"clean{ending}", "clean", metric=ending.strip()))
        found += [
            Column(
                f"{attack.column(eps)}{ending}",
                attack.label_in_norm, eps, attack.norm, ending.strip(),
            )
            for attack in suite.attacks
            for eps in attack.eps
        ]  # fmt: skip
    return (*found, Column(WORST, WORST))


def boards(
    suite: Suite, scored: Sequence[Scored], board: pd.DataFrame, cells: pd.DataFrame
) -> Boards:
    """Return the rows of the leaderboard over all datasets, and over each of them.

    A cell's interval is Wilson's, and that of a mean comes of its datasets' (MOVER). The worst
    case of one dataset is a rate over its images like any other.

    Args:
        suite: The suite.
        scored: Its cells with their results.
        board: Its leaderboard, as `bench.tables.leaderboard` returns it.
        cells: Its cells as a table, as `bench.tables.cells_frame` returns it.
    """
    names = [column.key for column in columns(suite)]
    known = dict(_intervals(scored, cells))
    each: dict[str, tuple[Row, ...]] = {}
    for dataset in suite.datasets:
        alone = suite.model_copy(update={"datasets": (dataset,)})
        own = [item for item in scored if item.cell.dataset == dataset.name]
        part = leaderboard(alone, own)
        each[dataset.name] = tuple(_of_one(part, names, dataset.name, known))
    by_key = {name: {row.key: row for row in rows} for name, rows in each.items()}
    means = []
    for record in board.to_dict("records"):
        parts = [rows[_key(record)] for rows in by_key.values()]
        rates = {name: _mean(record[name], [part.rates[name] for part in parts]) for name in names}
        means.append(_row(record, rates))
    return {"": tuple(means), **each}


def _intervals(
    scored: Sequence[Scored], cells: pd.DataFrame
) -> Iterator[tuple[tuple[Key, str, str], Interval]]:
    """Yield the interval of each cell by row, dataset and column; clean ones name no threat."""
    ran = [item for item in scored if item.result is not None]
    bounds = cells[["value", "ci_low", "ci_high"]].astype(float)
    for item, rate in zip(ran, bounds.itertuples(index=False, name=None), strict=True):
        if item.correct is not None:
            cell = item.cell
            key = (cell.target, cell.threat.kind if cell.threat else "", item.source)
            yield (key, cell.dataset, item.column), Interval(*rate)


def _of_one(
    board: pd.DataFrame,
    names: Sequence[str],
    dataset: str,
    known: Mapping[tuple[Key, str, str], Interval],
) -> Iterator[Row]:
    for record in board.to_dict("records"):
        key = _key(record)
        clean = (key[0], "", "")
        rates = {
            name: known.get((key, dataset, name)) or known.get((clean, dataset, name))
            for name in names
        }
        worst, n = record[WORST], int(record["n"])
        if not pd.isna(worst):
            rates[WORST] = Interval(float(worst), *wilson(float(worst) * n, n))
        yield _row(record, rates)


def _mean(value: float | None, parts: Sequence[Interval | None]) -> Interval | None:
    given = [part for part in parts if part is not None]
    if value is None or pd.isna(value) or len(given) < len(parts):
        return None
    mean = mean_of(given)
    return Interval(float(value), mean.low, mean.high)


def _key(record: Mapping[Any, Any]) -> Key:
    return record["model"], record["threat"], record["source"]


def _row(record: Mapping[Any, Any], rates: Mapping[str, Interval | None]) -> Row:
    rank = None if pd.isna(record["rank"]) else int(record["rank"])
    return Row(rank, *_key(record), rates, int(record["n"]), tuple(record["flags"].split()))
