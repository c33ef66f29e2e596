"""Expand a suite into cells. A cell's identity is a hash of everything that changes its result."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import Budget, Mode
from bench.plan.cell_names import ByIdentity, Naming
from bench.plan.identity import (
    data_identity,
    digest,
)
from bench.plan.identity_texts import (
    IdentityTexts,
    Once,
    Texts,
    attacked_texts,
    craft_texts,
    given_images_texts,
    radius_texts,
    shared_texts,
    texts_of,
)
from bench.plan.looks import unit_of
from bench.plan.random_models import with_passes_of
from bench.suite.applicability import is_scored
from bench.suite.load import Suite
from bench.suite.metrics import ACCURACY, TASKS, Task, metric_of, metrics_of
from bench.suite.specs import (
    EXTERNAL,
    AnyAttack,
    DatasetSpec,
    ExternalImages,
    NativeSpec,
    Threat,
    eps_value,
    members_of,
    task_of,
)

_BY_IDENTITY = ByIdentity()


class Cell(NamedTuple):
    """One number of a suite: a target model, a dataset, an attack at one radius, a threat model.

    A named tuple, since it is made in half the time of a frozen dataclass: a suite may have a
    million.

    Attributes:
        id: Identity of the cell.
        craft_id: Identity of the adversarial images, also of images that others made; empty for a
            clean cell.
        target: Name of the model that is scored.
        dataset: Name of the dataset.
        attack: The attack; None for a clean cell.
        eps: Radius of the attack, as written in the suite; empty for a clean cell.
        threat: The threat model; None for a clean cell.
        seed: Seed of the attack's randomness.
        below: The cell at the next smaller radius, if radii are nested: images that are broken
            there count as broken here. None otherwise.
        metric: Name of the metric (`bench.suite.metrics`).
        parts_id: Id under which parts of its images are stored; equal for all rules that stop it.
        width: It stops when its confidence sequence is at most this wide; None if it never does.
        same_source: Whether transferred images are made on the target itself, alone or with others.
        ends: Where the parts of its images end, and with the last of them its images, if it stops
            when ranks are settled (`bench.results.rounds`); the first part alone in a plan. None if
            it has all images or stops for another reason.
    """

    id: str
    craft_id: str
    target: str
    dataset: str
    attack: AnyAttack | None
    eps: str
    threat: Threat | None
    seed: int
    below: "Cell | None" = None
    metric: str = ACCURACY
    parts_id: str = ""
    width: float | None = None
    same_source: bool = False
    ends: tuple[int, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its id, and the other names that it has, in the order in which it was named."""
        parts = self.parts_id if self.parts_id != self.id else ""
        return self.id, *filter(None, (self.craft_id, parts))

    @property
    def sequential(self) -> bool:
        """Whether outcomes decide when it stops."""
        return self.width is not None or self.ends is not None

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the models that images are crafted on; the target if no others are known."""
        return (self.threat.sources if self.threat else ()) or (self.target,)

    @property
    def source(self) -> str:
        """Name of the sources in tables."""
        return (self.threat.source if self.threat else None) or self.target

    @property
    def crafted(self) -> bool:
        """Whether an attack of this project makes the adversarial images."""
        return self.attack is not None and not isinstance(self.attack, ExternalImages)

    @property
    def mode(self) -> Mode:
        """Mode of the craft: `full` if other models are scored on it, or for several metrics.

        In mode `success` an image would barely cross the source's boundary, so it would be weak
        for other models and other metrics.
        """
        return _mode(self.threat, self.metric)

    @property
    def task(self) -> Task:
        """The task of the target, such as classification or answering questions."""
        return metric_of(self.metric).task

    @property
    def budget(self) -> Budget:
        """Radius and norm of the attack; radius 0 for a clean cell."""
        if self.attack is None:
            return Budget(0.0)
        return Budget(eps_value(self.eps), self.attack.norm)


def scores_all(suite: Suite, dataset: DatasetSpec) -> bool:
    """Return whether clean cells use all images of the dataset; retrieval always uses a sample."""
    return suite.protocol.clean == "all" and TASKS[task_of(dataset)].labels == "classes"


def _clean_images(suite: Suite, lock: Lock, dataset: DatasetSpec) -> Mapping[str, DatasetLock]:
    return lock.whole if scores_all(suite, dataset) else lock.datasets


def images_of(suite: Suite, lock: Lock, cell: Cell) -> DatasetLock | None:
    """Return the images that a cell is scored on; None if they are not resolved."""
    spec = suite.dataset(cell.dataset)
    known = lock.datasets if cell.attack else _clean_images(suite, lock, spec)
    return known.get(cell.dataset)


def expand(suite: Suite, lock: Lock, naming: Naming = _BY_IDENTITY) -> list[Cell]:
    """Return all cells, ordered by target so that a model is loaded once; source models first.

    Args:
        suite: The suite.
        lock: The lock.
        naming: Names the cells; ids that are known need not be computed again.
    """
    texts = IdentityTexts(suite, lock)
    sources = {name for threat in suite.threats for name in threat.sources}
    order = sorted(suite.models, key=lambda name: name not in sources)
    cells = [
        cell
        for target in order
        for dataset in suite.datasets
        if is_scored(suite.models, target, dataset)
        for metric in metrics_of(dataset)
        for cell in _metric_cells(suite, lock, target, dataset, metric.name, texts, naming)
    ]
    return _of_table(suite, cells) if suite.compared else cells


def _of_table(suite: Suite, cells: Sequence[Cell]) -> list[Cell]:
    """Return cells with ids that depend on the table whose ranks decide when the cells stop."""
    table = {c.parts_id or c.id for c in cells if c.attack and c.target in suite.compared}
    rule = digest(sorted(table))
    return [
        cell._replace(id=digest({"parts": cell.parts_id, "ranked": rule})) if cell.ends else cell
        for cell in cells
    ]


def _metric_cells(
    suite: Suite,
    lock: Lock,
    target: str,
    dataset: DatasetSpec,
    metric: str,
    texts: IdentityTexts,
    naming: Naming,
) -> Iterator[Cell]:
    scored = Once(partial(shared_texts, suite, lock, target, dataset, metric, texts))

    def clean() -> Texts:
        images = data_identity(suite, dataset, _clean_images(suite, lock, dataset))
        return {**scored(), **texts_of({"data": images, "attack": None})}

    own = naming.cell(clean)
    yield Cell(own, "", target, dataset.name, None, "", None, suite.seed, metric=metric)
    ends = (unit_of(suite),) if suite.compared else None
    crafting = [attack for attack in suite.attacks if not isinstance(attack, ExternalImages)]
    rule = texts_of({"until": suite.until.rule}) if suite.until else {}
    width = suite.until.width if suite.until else None
    for threat in suite.threats:
        names = threat.sources or (target,)
        attacks = [with_passes_of(attack, suite.models, names) for attack in crafting]
        for attack, seed in product(attacks, suite.attack_seeds):
            mode = _mode(threat, metric)
            same = bool(threat.sources) and target in _made_on(suite, names, attack)
            nested = mode == "success" and isinstance(attack, NativeSpec) and attack.nested
            fixed = Once(
                partial(craft_texts, suite, attack, names, dataset, mode, seed, ends, texts)
            )
            below: Cell | None = None
            for eps in sorted(attack.eps, key=eps_value) if nested else attack.eps:
                smaller = below.craft_id if below else None
                craft = naming.other(partial(radius_texts, fixed, eps, smaller))
                own = naming.cell(partial(attacked_texts, scored, craft, rule))
                parts = naming.other(partial(attacked_texts, scored, craft, {})) if rule else own
                cell = Cell(
                    own, craft, target, dataset.name, attack, eps, threat, seed, below, metric,
                    parts, width, same, ends,
                )  # fmt: skip
                below = cell if nested else None
                yield cell
    yield from _external_cells(suite, lock, target, dataset, metric, scored, naming)


def _made_on(suite: Suite, sources: Collection[str], attack: AnyAttack) -> set[str]:
    """Return the models whose outputs or gradients an attack uses (`source: base`: the bases)."""
    found = {*attack.surrogates}
    for member in members_of(attack):
        for name in sources:
            base = suite.models[name].architecture_of if member.on_base else name
            found |= {base} if base else set()
    return found


def _external_cells(
    suite: Suite,
    lock: Lock,
    target: str,
    dataset: DatasetSpec,
    metric: str,
    scored: Callable[[], Texts],
    naming: Naming,
) -> Iterator[Cell]:
    """Yield the cells of images made by others, one per radius: they have no source and no seed."""
    for attack in suite.attacks:
        if not isinstance(attack, ExternalImages):
            continue
        for eps in attack.eps:
            images = partial(given_images_texts, lock, attack, dataset.name, eps, scored)
            craft = naming.other(images)
            own = naming.cell(partial(attacked_texts, scored, craft, {}))
            yield Cell(
                own, craft, target, dataset.name, attack, eps, EXTERNAL, suite.seed, metric=metric
            )


def _mode(threat: Threat | None, metric: str) -> Mode:
    own = threat is None or threat.kind == "white-box"
    return "success" if metric_of(metric).early_stop and own else "full"
