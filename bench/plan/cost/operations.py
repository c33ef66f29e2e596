"""Images, forward passes and floating-point operations that cells need."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bench import catalogue
from bench.core.errors import CellSkip
from bench.core.resolved_names import Lock
from bench.plan.attack_limits import fit_cell
from bench.plan.cells import Cell, images_of, scores_all
from bench.plan.cost.architecture import size_of
from bench.plan.cost.lvlm_estimate import forward_flops
from bench.suite.load import Suite
from bench.suite.specs import AnyAttack, ApgdSpec, Component, Ensemble, ModelSpec
from bench.suite.specs.model_base import DefenceModel

_BACKWARD = 2  # forward passes per gradient: a backward pass costs about one forward pass


def image_count(suite: Suite, lock: Lock, cell: Cell) -> int:
    """Return a cell's number of images: from the lock, else from the catalogue or the suite."""
    if found := images_of(suite, lock, cell):
        return len(found.sample_ids)
    whole = cell.attack is None and scores_all(suite, suite.dataset(cell.dataset))
    facts = catalogue.datasets().get(cell.dataset)
    return facts.images if whole and facts else suite.most_samples


def skip_reason(suite: Suite, lock: Lock, cell: Cell) -> str | None:
    """Return why a cell will be skipped; None if it will run or the class count is not known."""
    try:
        attack_of(suite, lock, cell)
    except CellSkip as skip:
        return str(skip)
    return None


def attack_of(suite: Suite, lock: Lock, cell: Cell) -> AnyAttack | None:
    """Return a cell's attack without members that cannot run, if the class count is known.

    Raises:
        CellSkip: The cell will be skipped.
    """
    found = lock.datasets.get(cell.dataset)
    facts = catalogue.datasets().get(cell.dataset)
    classes = len(found.classes) if found else facts.classes if facts else 0
    if cell.attack is None or not (classes or cell.task.answers):
        return cell.attack
    return fit_cell(suite, cell, cell.attack, classes)[0]


@dataclass(frozen=True, slots=True)
class GradientCost:
    """Cost of a model's gradient at one image.

    Attributes:
        passes: Forward and backward passes, in forward passes of the innermost base.
        kept: Passes of the innermost base whose activations are kept for the backward pass.
        texts: Passes of the text encoder whose activations are kept, per class.
        matrices: Whether attention keeps its matrices, as for second derivatives.
    """

    passes: int
    kept: int
    texts: int = 0
    matrices: bool = False


def gradient_cost(
    models: Mapping[str, ModelSpec], name: str, without: Collection[Component] = ()
) -> GradientCost:
    """Return the cost of a model's gradient, by the way in which its defence takes gradients.

    Steps of a defence along the sign of a gradient keep nothing: the sign's derivative is zero.

    Args:
        models: The suite's models, by name.
        name: Name of a model.
        without: Components that the gradient leaves out.
    """
    spec = models[name].without_components(without)
    if spec.architecture_of is None:
        return GradientCost(_BACKWARD, 1)
    inner = gradient_cost(models, spec.architecture_of)
    forwards = forwards_of(models, name)
    way = spec.way if isinstance(spec, DefenceModel) else "exact"
    if way == "base":
        return GradientCost(forwards + inner.passes, inner.kept)
    backward = inner.passes - forwards_of(models, spec.architecture_of)
    texts = spec.text_forwards if way == "exact" else 0
    passes, kept = forwards + spec.kept * backward, spec.kept * inner.kept
    return GradientCost(passes, kept, texts, matrices=spec.text_forwards > 0)


def attack_passes(
    models: Mapping[str, ModelSpec], name: str, attack: AnyAttack, stage: int = 0, stages: int = 1
) -> int:
    """Return the cost of an attack on one image in forward passes of the innermost base, at most.

    Args:
        models: The suite's models, by name.
        name: Name of the attacked model.
        attack: The attack.
        stage: Index of the stage, from 0 (`bench.plan.precisions`).
        stages: Number of stages.
    """
    if isinstance(attack, Ensemble):
        cost = sum(attack_passes(models, name, each, stage, stages) for each in attack.attacks)
        if attack.eot == 1:
            return cost
        # each step at which the model errs is confirmed in further passes
        return cost + attack.gradients_in_stage(stage, stages) * forwards_of(models, name)
    if attack.on_base:
        name = models[name].architecture_of or name
    gradient = gradient_cost(models, name)
    if isinstance(attack, ApgdSpec) and (given := attack.backward):
        gradient = gradient_cost(models, given.model or name, given.without)
    forwards = attack.forwards_in_stage(stage, stages) * forwards_of(models, name)
    return gradient.passes * attack.gradients_in_stage(stage, stages) + forwards


def forward_operations(suite: Suite) -> dict[str, float]:
    """Return the operations of a forward pass of each model's innermost base, where it is known."""
    sizes = {name: size_of(suite, name) for name in suite.models}
    clips = {name: size.image.flops for name, size in sizes.items() if size}
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
