"""Which number the battery judges: what stands against all that a suite attacked with."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Budget, CellResult
from bench.plan.cells import Cell
from bench.suite.metrics import metric_of
from bench.suite.specs import AnyAttack, Ensemble, Fgsm, Noise, TorchAttacks, members_of

STANDING = 0.1  # of images: where fewer stand there is nothing left to doubt

Pair = tuple[str, str]  # a model's name and a dataset's
Done = tuple[Cell, CellResult]


@dataclass(frozen=True, slots=True)
class Reported:
    """The robustness number that is to be believed or not.

    Attributes:
        robust: Per image, whether it stands against all that was reported.
        attack: What that was, in words.
        steps: Gradient steps of its longest run.
        eot: Forward passes that its steps average over.
        transferred: Whether its images were crafted on other models alone.
        distance: The largest perturbation, in the norm of the budget.
    """

    robust: NDArray[np.bool_]
    attack: str
    steps: int
    eot: int = 1
    transferred: bool = False
    distance: float = 0.0


@dataclass(frozen=True, slots=True)
class Number:
    """A reported number with where it is from.

    Attributes:
        budget: At which it was reported.
        eps: The radius as the suite writes it.
        reported: The number.
        sample_ids: Its images.
        cells: Identities of the cells that it is of.
        seconds: What all attacked cells of the model and dataset took.
    """

    budget: Budget
    eps: str
    reported: Reported
    sample_ids: tuple[str, ...]
    cells: tuple[str, ...]
    seconds: float = 0.0


def numbers_of(done: Iterable[tuple[Cell, CellResult | None]]) -> dict[Pair, Number]:
    """Return per model and dataset the number to judge, where there is an attacked one.

    The checks look at which logit is the highest, so a number is judged if that alone decides its
    metric (`Metric.top_logit`).
    White-box cells count where there are any, else transferred ones; Linf before L2; the largest
    radius at which a tenth of the images stand, else the smallest.
    """
    pairs: dict[Pair, list[Done]] = defaultdict(list)
    for cell, result in done:
        attacked = cell.attack is not None and cell.budget.eps > 0
        judged = attacked and metric_of(cell.metric).top_logit
        if judged and result is not None and result.status == "ok":
            pairs[cell.target, cell.dataset].append((cell, result))
    return {pair: _number_of(found) for pair, found in pairs.items()}


def _number_of(found: list[Done]) -> Number:
    return replace(_number(_counted(found)), seconds=sum(result.seconds for _, result in found))


def _counted(found: list[Done]) -> list[Done]:
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
        if last.reported.robust.mean() >= STANDING:
            return last
    assert last is not None
    return last


def _of_radius(found: list[Done]) -> Number:
    (cell, result), *_ = found
    attacks = [item.attack for item, _ in found if item.attack is not None]
    names = ", ".join(dict.fromkeys(attack.label for attack in attacks))
    transferred = cell.source != cell.target
    sources = ", ".join(dict.fromkeys(item.source for item, _ in found))
    return Number(
        cell.budget,
        cell.eps,
        Reported(
            reduce(np.logical_and, (item.correct for _, item in found)),
            f"{names} transferred from {sources}" if transferred else names,
            max(map(_steps, attacks)),
            max(map(_eot, attacks)),
            transferred,
            max(float(item.distance.max()) for _, item in found),
        ),
        result.sample_ids,
        tuple(sorted(item.id for item, _ in found)),
    )


def _steps(attack: AnyAttack) -> int:
    match attack:
        case Ensemble():
            return max(map(_steps, attack.attacks))
        case Fgsm() | Noise():
            return 1
        case TorchAttacks():
            return attack.gradients
        case _:
            return attack.steps


def _eot(attack: AnyAttack) -> int:
    return max(member.passes for member in members_of(attack))
