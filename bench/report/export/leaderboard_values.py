"""The leaderboard as values: over all datasets and over each, every rate with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.results.leaderboard import leaderboard, survivors
from bench.results.tables import Scored
from bench.stats import Interval, design_effect, mean_interval, wilson
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of

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

    Rates are on the scale of the suite's metric: fractions, but for CIDEr-D.

    Attributes:
        rank: Within the threat; None where a cell is missing.
        model: Name of the model.
        threat: `white-box` or `transfer`; empty in a suite without attacks.
        source: Model that transferred images come from.
        rates: By key of the column, with 95% intervals; None where there is no number.
        n: Images behind the row.
        flags: What a reader must know of it.
        spreads: By key of the column, by how much means differ between the seeds of an attack;
            empty where there is one seed.
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
        """What tells the row from others."""
        return self.model, self.threat, self.source


Boards = Mapping[str, tuple[Row, ...]]  # by dataset; "" has the means over all


def threat_name(threat: str, source: str) -> str:
    """Return a threat in words: `transfer from CLIP`; `clean` where nothing is attacked."""
    return f"{threat} from {source}" if source else threat or "clean"


def columns(suite: Suite) -> tuple[Column, ...]:
    """Return the columns of rates in the order of `leaderboard.csv`, the worst case last."""
    found = []
    for metric in metrics_of(suite.datasets[0]):
        found.append(Column(metric.column("clean"), "clean", metric=metric.suffix))
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
    """Return the rows of the leaderboard over all datasets, and over each of them.

    Intervals are those of `bench.stats`: Wilson's for one dataset, and for a mean over several the
    score interval that it becomes. Rates over several seeds are means over them, of the same
    images. The worst case of one dataset is a rate over its images like any other. Scores between
    wrong and right have the intervals of as many answers as they are worth.

    Args:
        suite: The suite.
        scored: Its cells with their results.
        board: Its leaderboard, as `bench.results.leaderboard.leaderboard` returns it.
    """
    names = [column.key for column in columns(suite)]
    worths = _worths(scored)
    best = metrics_of(suite.datasets[0])[0].highest
    each: dict[str, tuple[Row, ...]] = {}
    counts: dict[tuple[Key, str], list[float]] = {}
    for dataset in suite.datasets:
        alone = suite.model_copy(update={"datasets": (dataset,)})
        own = [item for item in scored if item.cell.dataset == dataset.name]
        left = {key: len(vector) / float(design_effect(vector))
                for key, (vector,) in survivors(alone, own).items()}  # fmt: skip
        rows = []
        for record in leaderboard(alone, own).to_dict("records"):
            key, rates = _key(record), dict[str, Interval | None]()
            for name in names:
                n = left.get(key, 0) if name == WORST else _of(worths, key, dataset.name, name)
                counts.setdefault((key, name), []).append(n)
                value = record[name]
                known = n > 0 and not pd.isna(value)
                rates[name] = _rate(float(value), n, best) if known else None
            rows.append(_row(record, rates))
        each[dataset.name] = tuple(rows)
    by_key = [{row.key: row for row in rows} for rows in each.values()]
    means = _means(board, names, by_key, counts, best)
    return {"": tuple(means), **each}


def _worths(scored: Sequence[Scored]) -> Mapping[tuple[Key, str, str], float]:
    """Return what numbers are worth by row, dataset and column; clean ones name no row.

    Of the seeds of an attack it is that which is worth least.
    """
    found: dict[tuple[Key, str, str], float] = {}
    for item in scored:
        cell = item.cell
        if item.shares is not None:
            key = (cell.target, cell.threat.kind if cell.threat else "", item.source)
            place, worth = (key, cell.dataset, item.column), item.effective_size
            found[place] = min(worth, found.get(place, worth))
    return found


def _of(worths: Mapping[tuple[Key, str, str], float], key: Key, dataset: str, name: str) -> float:
    clean = (key[0], "", "")
    return worths.get((key, dataset, name)) or worths.get((clean, dataset, name)) or 0.0


def _rate(value: float, n: float, best: float) -> Interval:
    return Interval(value / best, *wilson(value / best * n, n)).scaled(best)


def _means(
    board: pd.DataFrame,
    names: Sequence[str],
    by_key: Sequence[Mapping[Key, Row]],
    counts: Mapping[tuple[Key, str], Sequence[float]],
    best: float,
) -> Iterator[Row]:
    """Yield the rows over all datasets; their intervals are computed together, which is quick."""
    records = board.to_dict("records")
    given = [
        (_key(record), name) for record in records for name in names if not pd.isna(record[name])
    ]
    images = np.array([counts[place] for place in given]).reshape(-1, len(by_key))
    rates = [[of.rates[name] for of in (rows[key] for rows in by_key)] for key, name in given]
    right = np.array([[rate.value if rate else np.nan for rate in some] for some in rates])
    low, high = mean_interval(right.reshape(images.shape) / best * images, images)
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
