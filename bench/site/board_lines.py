"""The numbers of results as lines: a model under a threat, on a dataset or on the mean over all."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from bench.core.types import ANYTIME, CLEAN, WORST
from bench.results.number_format import PERCENT, Scale, rounded, scale_of
from bench.site.found_results import FoundResults
from bench.stats import mean_interval
from bench.suite.metrics import metric_of

_RATE = re.compile(rf"({CLEAN}|{WORST}|.+@[0-9./]+)( (TR|IR)@\d+)?")  # a column of leaderboard.csv
_LOW, _HIGH = " ci_low", " ci_high"  # endings of the columns of its interval
Rate = tuple[float | None, ...]  # value, and the bounds of its 95% interval or None
_Key = tuple[str, str, str]  # model, threat, source


@dataclass(frozen=True, slots=True)
class Line:
    """A model under a threat, on one dataset or on the mean over all datasets of a suite.

    Attributes:
        model: Name of the model.
        threat: `white-box` or `transfer`; empty without attacks.
        source: Source model of transferred images.
        dataset: Name of the dataset; empty for the mean over several.
        rank: Rank within the threat; None if it is not known.
        n: Number of images.
        flags: Warnings for the reader.
        rates: Rates by the name of their column.
    """

    model: str
    threat: str
    source: str
    dataset: str
    rank: int | None
    n: int
    flags: tuple[str, ...]
    rates: Mapping[str, Rate]


def scale_of_results(found: FoundResults) -> Scale:
    """Return the number format of results; percent if they do not state their metric."""
    metrics = [metric_of(name) for name in dict.fromkeys(found.cells["metric"])]
    return scale_of(metrics[0]) if metrics else PERCENT


def datasets_of(found: FoundResults) -> list[str]:
    """Return the datasets of results in their order; empty if the results do not name them."""
    return list(dict.fromkeys(found.cells["dataset"])) or [
        name for name in found.by_dataset if name
    ]


def lines_of(found: FoundResults) -> list[Line]:
    """Return the lines of results: means over the datasets first, then those of each dataset.

    Numbers come from `leaderboard.json`. Bundles lack it: their means and worst cases come from
    `leaderboard.csv`, and their numbers on a dataset from `cells.csv`, which does not have worst
    cases. Where earlier versions wrote no intervals, those of means are computed from the cells,
    and left out where they cannot be.
    """
    datasets = datasets_of(found)
    single = datasets[0] if len(datasets) == 1 else ""
    if found.by_dataset:
        named = [single] if single else ["", *datasets]
        return [_of_json(row, name) for name in named for row in found.by_dataset.get(name, ())]
    means = [_of_csv(row, single) for row in found.board.to_dict("records")]
    if not any(name.endswith(_LOW) for name in found.board.columns):
        bounds = _intervals(found)
        means = [_bounded(line, bounds) for line in means]
    return [*means, *([] if single and means else _of_cells(found))]


def columns_of(lines: Sequence[Line]) -> list[str]:
    """Return the names of the columns of lines: clean, the worst case, and the others."""
    found = dict.fromkeys(name for line in lines for name in line.rates)
    first = [name for name in (CLEAN, WORST) if name in found]
    return [*first, *(name for name in found if name not in first)]


def _of_json(row: Mapping[str, Any], dataset: str) -> Line:
    rates = {
        str(name): _rate(rate["value"], rate["low"], rate["high"])
        for name, rate in row["rates"].items()
        if rate is not None
    }
    rank = None if row["rank"] is None else int(row["rank"])
    return Line(
        str(row["model"]), str(row["threat"]), str(row["source"]), dataset,
        rank, int(row["n"]), tuple(map(str, row["flags"])), rates,
    )  # fmt: skip


def _of_csv(row: Mapping[Any, str], dataset: str) -> Line:
    rates = {
        str(name): _rate(*(_number(row.get(f"{name}{end}", "")) for end in ("", _LOW, _HIGH)))
        for name, text in row.items()
        if text and _RATE.fullmatch(str(name))
    }
    rank = int(float(row["rank"])) if row["rank"] else None
    flags = tuple(row.get("flags", "").split())
    return Line(
        row["model"],
        row["threat"],
        row["source"],
        dataset,
        rank,
        int(float(row["n"])),
        flags,
        rates,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _of_cells(found: FoundResults) -> Iterator[Line]:
    """Yield the lines of each dataset; a rate is the mean over the seeds of its attack."""
    rates: dict[tuple[_Key, str], dict[str, list[Rate]]] = {}
    flags: dict[tuple[_Key, str], dict[str, None]] = {}
    sizes: dict[tuple[_Key, str], int] = {}
    for cell in found.cells.to_dict("records"):
        place = ((cell["model"], cell["threat"], cell["source"]), cell["dataset"])
        column = metric_of(cell["metric"]).column(_column(cell))
        flags.setdefault(place, {}).update(dict.fromkeys(cell["flags"].split()))
        if cell["status"] == "ok":
            sizes[place] = max(sizes.get(place, 0), int(cell["n"]))
            rate = _rate(cell["value"], cell["ci_low"], cell["ci_high"])
            rates.setdefault(place, {}).setdefault(column, []).append(rate)
        else:
            rates.setdefault(place, {})
    attacked = {(model, dataset) for ((model, threat, _), dataset) in rates if threat}
    for (key, dataset), columns in rates.items():
        model, threat, source = key
        if not threat and (model, dataset) in attacked:
            continue  # clean numbers stand in the lines of each threat
        clean = ((model, "", ""), dataset)
        every = {**rates.get(clean, {}), **columns}
        marks = {**flags.get(clean, {}), **flags[key, dataset]}
        means = {name: _over_seeds(seeds) for name, seeds in every.items()}
        n = sizes.get((key, dataset), 0)
        yield Line(model, threat, source, dataset, None, n, tuple(marks), means)


def _column(cell: Mapping[Any, Any]) -> str:
    if not cell["eps"]:
        return str(cell["attack"])
    norm = "-l2" if cell["norm"] == "L2" else ""
    return f"{cell['attack']}{norm}@{cell['eps']}"


def _over_seeds(seeds: Sequence[Rate]) -> Rate:
    if len(seeds) == 1:
        return seeds[0]
    values = [rate[0] for rate in seeds if rate[0] is not None]
    return _rate(sum(values) / len(seeds)) if len(values) == len(seeds) else _rate(None)


def _intervals(found: FoundResults) -> Mapping[tuple[_Key, str], tuple[float, float]]:
    """Return the intervals of means over the datasets, by line and column.

    Only numbers whose images are right or wrong have intervals: the effective sample size of the
    others is not in the tables. Neither are confidence sequences of means.
    """
    values: dict[tuple[_Key, str], dict[str, list[tuple[float, int]]]] = {}
    for cell in found.cells.to_dict("records"):
        metric = metric_of(cell["metric"])
        if metric.graded or metric.shares_images or ANYTIME in cell["flags"].split():
            return {}
        if cell["status"] == "ok":
            key = (cell["model"], cell["threat"], cell["source"])
            by_dataset = values.setdefault((key, metric.column(_column(cell))), {})
            by_dataset.setdefault(cell["dataset"], []).append((cell["value"], int(cell["n"])))
    datasets = len(datasets_of(found))
    whole = {key: by_dataset for key, by_dataset in values.items() if len(by_dataset) == datasets}
    if not whole:
        return {}
    table = np.array(  # [numbers, datasets, 2]; a rate is the mean over the seeds of its attack
        [[np.mean(seeds, axis=0) for seeds in by_dataset.values()] for by_dataset in whole.values()]
    )
    low, high = mean_interval(table[..., 0] * table[..., 1], table[..., 1])
    return dict(zip(whole, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _bounded(line: Line, bounds: Mapping[tuple[_Key, str], tuple[float, float]]) -> Line:
    """Return a line with the intervals of its rates."""
    own, clean = (line.model, line.threat, line.source), (line.model, "", "")
    rates = {
        name: _rate(rate[0], *bounds.get((own, name), bounds.get((clean, name), (None, None))))
        for name, rate in line.rates.items()
    }
    return replace(line, rates=rates)


def _rate(value: float | None, low: float | None = None, high: float | None = None) -> Rate:
    return tuple(
        rounded(float(part)) if part is not None and isfinite(part) else None
        for part in (value, low, high)
    )
