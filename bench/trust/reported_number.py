"""The robust accuracy that the battery examines: the images that survive all attacks of a suite."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Budget, Result
from bench.plan.cells import Cell
from bench.suite.metrics import metric_of
from bench.suite.specs import (
    AnyAttack,
    ApgdSpec,
    Ensemble,
    TorchAttacks,
    members_of,
)

ENOUGH_SURVIVORS = 0.1  # of images; a smaller robust accuracy needs no check

Pair = tuple[str, str]  # names of a model and a dataset
Done = tuple[Cell, Result]


@dataclass(frozen=True, slots=True)
class Reported:
    """A reported robust accuracy.

    Attributes:
        robust: Per image, whether it survives all attacks.
        attack: Names of the attacks.
        steps: Gradient steps of the longest attack.
        eot: Forward passes that each step averages over.
        transferred: Whether all adversarial images were crafted on other models.
        distance: Size of the largest perturbation, in the norm of the budget; known after
            `Number.measured`, since many results must be read for it.
        surrogates: What the gradients of some attack left out, and models that it took them from.
            An attack on the base leaves the defence out.
    """

    robust: NDArray[np.bool_]
    attack: str
    steps: int
    eot: int = 1
    transferred: bool = False
    distance: float = 0.0
    surrogates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Number:
    """A reported number with its origin.

    Attributes:
        budget: Budget of the attacks.
        eps: Radius as written in the suite.
        reported: The number.
        sample_ids: Ids of its images.
        cells: Ids of the cells that it comes from.
        results: The results of these cells.
        attacked: The results of all attacked cells of the model and dataset.
    """

    budget: Budget
    eps: str
    reported: Reported
    sample_ids: tuple[str, ...]
    cells: tuple[str, ...]
    results: tuple[Result, ...] = ()
    attacked: tuple[Result, ...] = ()

    def seconds(self) -> float:
        """Return how long all attacked cells of the model and dataset took."""
        told = (result.details() for result in self.attacked)
        return sum(details.seconds for details in told if details is not None)

    def measured(self) -> Reported:
        """Return the number with the size of its largest perturbation."""
        whole = (result.whole() for result in self.results)
        sizes = [float(result.distance.max()) for result in whole if result is not None]
        return replace(self.reported, distance=max(sizes, default=0.0))


def reported_numbers(done: Iterable[tuple[Cell, Result | None]]) -> dict[Pair, Number]:
    """Return per model and dataset the number to examine; pairs without attacked cells are absent.

    The checks use only which logit is the highest, so the metric must depend on nothing else
    (`Metric.top_logit`). White-box cells are used if there are any, otherwise transfer cells; Linf
    if there is any, otherwise L2. The radius is the largest at which at least `ENOUGH_SURVIVORS` of
    the images survive, otherwise the smallest. Images made by others do not count: the checks ask
    whether the suite's own attacks are strong enough.
    """
    pairs: dict[Pair, list[Done]] = defaultdict(list)
    for cell, result in done:
        attacked = cell.crafted and cell.budget.eps > 0
        usable = attacked and metric_of(cell.metric).top_logit
        if usable and result is not None and result.status == "ok":
            pairs[cell.target, cell.dataset].append((cell, result))
    return {pair: _number_of(found) for pair, found in pairs.items()}


def _number_of(found: list[Done]) -> Number:
    attacked = tuple(result for _, result in found)
    return replace(_number(_strongest_threat(found)), attacked=attacked)


def _strongest_threat(found: list[Done]) -> list[Done]:
    white = [item for item in found if item[0].source == item[0].target]
    some = white or found
    return [item for item in some if item[0].budget.norm == "linf"] or some


def _number(found: list[Done]) -> Number:
    radii: dict[float, list[Done]] = defaultdict(list)
    for item in found:
        radii[item[0].budget.eps].append(item)
    ordered = sorted(radii, reverse=True)
    numbers = (_of_radius(radii[eps]) for eps in ordered)
    last = None
    for last in numbers:
        if last.reported.robust.mean() >= ENOUGH_SURVIVORS:
            return last
    assert last is not None
    return last


def _of_radius(found: list[Done]) -> Number:
    (cell, result), *_ = found
    n = min(item.size for _, item in found)  # sequential cells may have fewer images
    attacks = [item.attack for item, _ in found if item.attack is not None]
    names = ", ".join(dict.fromkeys(attack.label for attack in attacks))
    on_base = all(member.on_base for attack in attacks for member in members_of(attack))
    transferred = on_base or cell.source != cell.target
    sources = "the base" if on_base else ", ".join(dict.fromkeys(item.source for item, _ in found))
    return Number(
        cell.budget,
        cell.eps,
        Reported(
            reduce(np.logical_and, (item.correct[:n] for _, item in found)),
            f"{names} transferred from {sources}" if transferred else names,
            max(map(_steps, attacks)),
            max(map(_eot, attacks)),
            transferred,
            surrogates=frozenset(name for attack in attacks for name in _surrogates(attack)),
        ),
        result.sample_ids[:n],
        tuple(sorted(item.id for item, _ in found)),
        tuple(item for _, item in found),
    )


def _steps(attack: AnyAttack) -> int:
    match attack:
        case Ensemble():
            return max(map(_steps, attack.attacks))
        case TorchAttacks():
            return attack.gradients
        case _:
            return int(getattr(attack, "steps", 1))  # 1 for attacks without steps


def _eot(attack: AnyAttack) -> int:
    return max(member.passes for member in members_of(attack))


def _surrogates(attack: AnyAttack) -> Iterator[str]:
    for member in members_of(attack):
        yield from member.surrogates
        if member.on_base:
            yield "defence"
        if isinstance(member, ApgdSpec) and member.backward:
            yield from member.backward.without
