"""What cells take, in images sent through models and the operations of that."""

from bench import catalogue
from bench.core.errors import CellSkip
from bench.core.locks import Lock
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell, images_of, scores_all
from bench.plan.cost.architecture import size_of
from bench.plan.cost.lvlm_estimate import forward_flops
from bench.suite.load import Suite
from bench.suite.specs import AnyAttack

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
    return _BACKWARD * attack.gradients + attack.forwards


def passes_in(attack: AnyAttack, stage: int, stages: int) -> int:
    """Return what `passes_of` counts in one of the precisions that an attack runs at in turn."""
    return _BACKWARD * attack.gradients_in_stage(stage, stages) + attack.forwards_in_stage(
        stage, stages
    )


def forward_operations(suite: Suite) -> dict[str, float]:
    """Return the operations of one image's forward pass, of models whose size is known."""
    sizes = {name: size_of(suite, name) for name in suite.models}
    clips = {name: size.image.flops for name, size in sizes.items() if size}
    others = {name: forward_flops(suite, name) for name in suite.models if name not in clips}
    return {**clips, **{name: flops for name, flops in others.items() if flops}}
