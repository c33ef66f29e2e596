"""Images, forward passes and floating-point operations that cells need."""

from collections.abc import Mapping

from bench import catalogue
from bench.core.errors import CellSkip
from bench.core.resolved_names import Lock
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell, images_of, scores_all
from bench.plan.cost.architecture import size_of
from bench.plan.cost.lvlm_estimate import forward_flops
from bench.suite.load import Suite
from bench.suite.specs import AnyAttack, ModelSpec

_BACKWARD = 2  # forward passes per gradient: a backward pass costs about one forward pass


def image_count(suite: Suite, lock: Lock, cell: Cell) -> int:
    """Return a cell's number of images: from the lock, else from the catalogue or the suite."""
    if found := images_of(suite, lock, cell):
        return len(found.sample_ids)
    whole = cell.attack is None and scores_all(suite, suite.dataset(cell.dataset))
    facts = catalogue.datasets().get(cell.dataset)
    return facts.images if whole and facts else suite.samples


def skip_reason(suite: Suite, lock: Lock, cell: Cell) -> str | None:
    """Return why a cell will be skipped; None if it will run or the class count is not known."""
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
    """Return the cost of an attack on one image in forward passes, at most."""
    return _BACKWARD * attack.gradients + attack.forwards


def passes_in(attack: AnyAttack, stage: int, stages: int) -> int:
    """Return the cost of one stage (see `bench.plan.precisions`) in forward passes per image."""
    return _BACKWARD * attack.gradients_in_stage(stage, stages) + attack.forwards_in_stage(
        stage, stages
    )


def forward_operations(suite: Suite) -> dict[str, float]:
    """Return the operations of a forward pass per image, for each model whose size is known."""
    sizes = {name: size_of(suite, name) for name in suite.models}
    clips = {
        name: size.image.flops * forwards_of(suite.models, name)
        for name, size in sizes.items()
        if size
    }
    others = {name: forward_flops(suite, name) for name in suite.models if name not in clips}
    return {**clips, **{name: flops for name, flops in others.items() if flops}}


def forwards_of(models: Mapping[str, ModelSpec], name: str) -> int:
    """Return the cost of embedding an image, in forward passes of a model's innermost base.

    Args:
        models: The suite's models, by name.
        name: Name of a model.
    """
    spec = models[name]
    inner = 1 if spec.architecture_of is None else forwards_of(models, spec.architecture_of)
    return spec.forwards * inner
