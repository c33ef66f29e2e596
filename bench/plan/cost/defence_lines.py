"""Cost of attacks on test-time defences: passes and memory, estimated for `plan`."""

from collections.abc import Iterator, Sequence

from bench.core.errors import CellSkip
from bench.core.resolved_names import Lock
from bench.plan.cells import Cell
from bench.plan.cost.architecture import Transformer, size_of
from bench.plan.cost.operations import (
    GradientCost,
    attack_of,
    attack_passes,
    forwards_of,
    gradient_cost,
)
from bench.suite.load import Suite
from bench.suite.specs import Ensemble, members_of
from bench.suite.specs.model_base import DefenceModel


def defence_lines(suite: Suite, lock: Lock, cells: Sequence[Cell]) -> Iterator[str]:
    """Yield lines on each defence: passes and memory of its gradient, passes of each attack.

    Args:
        suite: The suite.
        lock: The resolved names, for the number of classes of datasets.
        cells: The suite's cells.
    """
    for name, spec in suite.models.items():
        if not isinstance(spec, DefenceModel):
            continue
        forwards, cost = forwards_of(suite.models, name), gradient_cost(suite.models, name)
        texts = f", {spec.text_forwards} per class of the text encoder" * bool(spec.text_forwards)
        yield (
            f"{name}: passes of the undefended model: {forwards} per image{texts}; "
            f"{cost.passes} per gradient ({spec.way})"
        )
        yield f"  activations that a gradient keeps per image: {_kept(suite, name, cost)}"
        yield from _attack_lines(suite, lock, name, cells)


def _kept(suite: Suite, name: str, cost: GradientCost) -> str:
    size = size_of(suite, name)
    kept = f"{cost.kept} x a pass{_memory(size.image if size else None, cost.kept, cost)}"
    if not cost.texts:
        return kept
    texts = _memory(size.text if size else None, cost.texts, cost)
    return f"{kept}, and per class {cost.texts} x a text{texts}"


def _memory(transformer: Transformer | None, passes: int, cost: GradientCost) -> str:
    if transformer is None:
        return " (memory not known)"
    kept = passes * transformer.kept_bytes(matrices=cost.matrices)
    return f" (about {kept / 1e6:,.0f} MB in fp32)"


def _attack_lines(suite: Suite, lock: Lock, name: str, cells: Sequence[Cell]) -> Iterator[str]:
    seen = set[str]()
    for cell in cells:
        if cell.target != name or cell.sources != (name,):
            continue
        try:
            attack = attack_of(suite, lock, cell)
        except CellSkip:
            continue
        if not isinstance(attack, Ensemble) or attack.label_in_norm in seen:
            continue
        seen.add(attack.label_in_norm)
        members = ", ".join(
            f"{member.label} {attack_passes(suite.models, name, member):,}"
            for member in members_of(attack)
        )
        total = attack_passes(suite.models, name, attack)
        passes = f", eot {attack.eot}" if attack.eot != 1 else ""
        yield (f"  {attack.label_in_norm}{passes}: {total:,} passes per image at most: {members}")
