"""What cells take, in images sent through models and the operations of that."""

from collections.abc import Callable

from bench import catalogue
from bench.core.errors import CellSkip
from bench.core.locks import Lock
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell, images_of, scores_all
from bench.plan.cost.architecture import size_of
from bench.plan.cost.lvlm_estimate import forward_flops
from bench.suite.load import Suite
from bench.suite.specs import (
    AnyAttack,
    ApgdSpec,
    ApgdText,
    ApgdTextTargeted,
    Ensemble,
    Noise,
    PyAutoAttack,
)

_BACKWARD = 2  # a gradient with respect to the image costs its forward pass once more


def image_count(suite: Suite, lock: Lock, cell: Cell) -> int:
    """Return how many images a cell has; by the catalogue or the suite before that is resolved."""
    if found := images_of(suite, lock, cell):
        return len(found.sample_ids)
    whole = cell.attack is None and scores_all(suite, suite.dataset(cell.dataset))
    facts = catalogue.datasets().get(cell.dataset)
    return facts.images if whole and facts else suite.samples


def skip_reason(suite: Suite, lock: Lock, cell: Cell) -> str | None:
    """Return why a cell will be skipped, where the number of its dataset's classes is known."""
    found = lock.datasets.get(cell.dataset)
    facts = catalogue.datasets().get(cell.dataset)
    classes = len(found.classes) if found else facts.classes if facts else 0
    if cell.attack is None or not (classes or cell.task.answers):
        return None
    try:
        fit_cell(suite, cell, cell.attack, classes)
    except CellSkip as skip:
        return str(skip)
    return None


def passes_of(attack: AnyAttack) -> int:
    """Return how many forward passes an attack amounts to for one image, at most."""
    return _BACKWARD * attack.gradients + _queries(attack)


def passes_in(attack: AnyAttack, stage: int, stages: int) -> int:
    """Return what `passes_of` counts in one of the precisions that an attack runs at in turn."""
    return _in_stage(attack, stage, stages, passes_of)


def gradients_in(attack: AnyAttack, stage: int, stages: int) -> int:
    """Return how many gradients an attack takes in one of the precisions that it runs at."""
    return _in_stage(attack, stage, stages, lambda one: one.gradients)


def _in_stage(
    attack: AnyAttack, stage: int, stages: int, counted: Callable[[AnyAttack], int]
) -> int:
    """Return what is counted of one stage.

    Of several texts the best alone is attacked at the last, and targets there alone
    (`bench.evaluate.answer_attacks`).
    """
    match attack:
        case _ if stages == 1:
            return counted(attack)
        case Ensemble():
            return sum(_in_stage(member, stage, stages, counted) for member in attack.attacks)
        case ApgdText() if stage:
            return counted(attack) // attack.references
        case ApgdTextTargeted() if not stage:
            return 0
        case _:
            return counted(attack)


def _queries(attack: AnyAttack) -> int:
    """Return how many forward passes an attack makes without gradients."""
    match attack:
        case Ensemble():
            return sum(_queries(member) for member in attack.attacks)
        case PyAutoAttack():
            return attack.queries if "square" in attack.members else 0
        case Noise():
            return attack.draws
        case ApgdSpec() if attack.backward:
            return attack.gradients  # outputs are the model's own
        case _:
            return 0


def forward_operations(suite: Suite) -> dict[str, float]:
    """Return the operations of one image's forward pass, of models whose size is known."""
    sizes = {name: size_of(suite, name) for name in suite.models}
    clips = {name: size.image.flops for name, size in sizes.items() if size}
    others = {name: forward_flops(suite, name) for name in suite.models if name not in clips}
    return {**clips, **{name: flops for name, flops in others.items() if flops}}
