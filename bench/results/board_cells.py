"""The numbers of cells as arrays, by row and column of the leaderboard.

A table of a million cells takes seconds from arrays, where it would take minutes cell by cell.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.types import CLEAN
from bench.results.tables import Scored
from bench.suite.load import Suite
from bench.suite.metrics import Metric, metrics_of

Key = tuple[str, str, str]  # model, threat and source: a row of the leaderboard
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_CODES = {
    **dict.fromkeys(("row", "model", "dataset", "column", "seed", "samples"), "q"),
    **dict.fromkeys(("value", "effective"), "d"),
    **dict.fromkeys(("skipped", "crafted", "same_source", "anytime", "flagged"), "b"),
}


@dataclass(frozen=True, slots=True)
class CellArrays:
    """What tables count of n cells.

    Attributes:
        row: Place of its row in `BoardCells.attacked`; -1 for a clean cell.
        model: Place of its model in `BoardCells.models`.
        dataset: Place of its dataset in the suite.
        column: Place of its column in `BoardCells.columns`.
        seed: Seed of its attack.
        value: Value of its metric; NaN without a number.
        samples: Number of scored samples; 0 without a number.
        effective: Effective sample size; 0 without a number.
        skipped: Whether its attack is not defined for its dataset.
        crafted: Whether an attack of this project made its adversarial images.
        same_source: Whether transferred images are made on the model itself.
        anytime: Whether its images were drawn until its number was precise enough.
        flagged: Whether it has flags of its content or of the trust battery.
    """

    row: Ints
    model: Ints
    dataset: Ints
    column: Ints
    seed: Ints
    value: Floats
    samples: Ints
    effective: Floats
    skipped: Flags
    crafted: Flags
    same_source: Flags
    anytime: Flags
    flagged: Flags

    def where(self, chosen: Flags) -> "CellArrays":
        """Return the arrays of some of the cells."""
        return replace(
            self, **{each.name: getattr(self, each.name)[chosen] for each in fields(self)}
        )


@dataclass(frozen=True)
class BoardCells:
    """The cells of a suite's leaderboard.

    Attributes:
        suite: The suite.
        items: The cells.
        attacked: Its rows under attacks, in the order of the cells.
        models: The models of the suite.
        columns: Names of its columns of means; those of the task's main metric come first.
        arrays: What is counted of the cells.
    """

    suite: Suite
    items: Sequence[Scored]
    attacked: tuple[Key, ...]
    models: tuple[str, ...]
    columns: tuple[str, ...]
    arrays: CellArrays

    @property
    def keys(self) -> tuple[Key, ...]:
        """The rows of the leaderboard; models without attack if no cell has one."""
        if self.attacked:
            return self.attacked
        clean = set(self.arrays.model.tolist())
        return tuple((name, "", "") for at, name in enumerate(self.models) if at in clean)

    @cached_property
    def places(self) -> Mapping[Key, Ints]:
        """The places of the cells of each row, with the clean ones of its model first."""
        clean = places_by(np.where(self.arrays.row < 0, self.arrays.model, -1), len(self.models))
        attacked = places_by(self.arrays.row, len(self.attacked))
        models = {name: place for place, name in enumerate(self.models)}
        return {
            key: np.concatenate([clean[models[key[0]]], *attacked[row : row + 1]])
            for row, key in enumerate(self.keys)
        }

    def on(self, dataset: int) -> "BoardCells":
        """Return the cells of one dataset, given by its place in the suite."""
        chosen = self.arrays.dataset == dataset
        arrays = self.arrays.where(chosen)
        places = np.unique(arrays.row[arrays.row >= 0])
        moved = np.full(len(self.attacked) + 1, -1)  # the last place is that of clean cells
        moved[places] = np.arange(len(places))
        return replace(
            self,
            suite=self.suite.model_copy(update={"datasets": (self.suite.datasets[dataset],)}),
            items=[self.items[place] for place in np.flatnonzero(chosen).tolist()],
            attacked=tuple(self.attacked[place] for place in places.tolist()),
            arrays=replace(arrays, row=moved[arrays.row], dataset=np.zeros_like(arrays.dataset)),
        )


def board_cells(suite: Suite, scored: Sequence[Scored]) -> BoardCells:
    """Return the cells of a suite as arrays.

    Args:
        suite: The suite.
        scored: Its cells with their results.
    """
    models = {name: place for place, name in enumerate(suite.models)}
    datasets = {dataset.name: place for place, dataset in enumerate(suite.datasets)}
    names = columns_of_means(suite)
    columns = {name: place for place, name in enumerate(names)}
    keys: dict[Key, int] = {}
    rows: dict[tuple[str, int], int] = {}  # by model and the identity of the threat
    # by the identity of the attack, radius and metric; what is identified lives as long as `scored`
    known: dict[tuple[int, str, str], _Kind] = {}
    found: dict[str, array[Any]] = {
        each.name: array(_CODES[each.name]) for each in fields(CellArrays)
    }
    add = [values.append for values in found.values()]
    for item in scored:
        cell, result, trust_flags, content_flags = item
        kind = known.get(named := (id(cell.attack), cell.eps, cell.metric))
        if kind is None:
            kind = known[named] = _Kind(columns[item.column], item.metric, cell.crafted)
        row = -1 if cell.threat is None else rows.get((cell.target, id(cell.threat)))
        if row is None:
            row = keys.setdefault(_key(item), len(keys))
            rows[cell.target, id(cell.threat)] = row
        status = result.status if result else None
        value, samples, effective = nan, 0, 0.0
        if result is not None and status == "ok":
            if kind.plain:  # as `Scored` says, in a fraction of the time
                samples = effective = result.size
                value = result.right / samples * kind.highest
            elif (given := item.value) is not None:
                value, samples, effective = given, result.size, item.effective_size
        told = (
            row, models[cell.target], datasets[cell.dataset], kind.column, cell.seed, value,
            samples, effective, status == "skip", kind.crafted, cell.same_source, item.anytime,
            bool(content_flags or trust_flags),
        )  # fmt: skip
        for append, number in zip(add, told, strict=True):
            append(number)
    arrays = CellArrays(**{name: _as_numpy(values) for name, values in found.items()})
    return BoardCells(suite, scored, tuple(keys), tuple(suite.models), names, arrays)


class _Kind:
    """What cells of one attack, radius and metric share."""

    __slots__ = ("column", "crafted", "highest", "plain")

    def __init__(self, column: int, metric: Metric, crafted: bool) -> None:
        self.column, self.crafted, self.highest = column, crafted, metric.highest
        self.plain = not (metric.graded or metric.shares_images)


def _key(item: Scored) -> Key:
    return item.cell.target, item.cell.threat.kind if item.cell.threat else "", item.source


def _as_numpy(values: "array[Any]") -> NDArray[Any]:
    dtype = {"q": np.int64, "d": np.float64, "b": np.bool_}[values.typecode]
    return np.frombuffer(values, dtype) if values else np.zeros(0, dtype)


def places_by(codes: Ints, count: int) -> list[Ints]:
    """Return for each code from 0 to `count - 1` the places at which it stands, in order."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(count + 1))
    return [order[starts[code] : starts[code + 1]] for code in range(count)]


def columns_of_means(suite: Suite) -> tuple[str, ...]:
    """Return the names of the columns of means; those of the task's main metric come first."""
    attacks = [attack.column(eps) for attack in suite.attacks for eps in attack.eps]
    metrics = metrics_of(suite.datasets[0])
    return tuple(metric.column(name) for metric in metrics for name in (CLEAN, *attacks))
