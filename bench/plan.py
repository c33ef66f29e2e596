"""Expand a suite into cells, each with an identity made of all that changes its answer."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bench.judging import judge_identity
from bench.metrics import ACCURACY, metrics_of, worded
from bench.pairs import scored as takes_part
from bench.parts import PART, parts_matter
from bench.specs import (
    AnyAttack,
    DatasetSpec,
    GraftModel,
    HuggingFaceModel,
    LvlmModel,
    ModelSpec,
    NativeSpec,
    OpenClipModel,
    RAdaptModel,
    Threat,
    eps_value,
    task_of,
)
from bench.suite import Suite
from bench.types import Budget, Mode

PROTOCOL = 1  # raised whenever a change of the code changes numbers

UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class DatasetLock:
    """What a dataset's name stands for: content, chosen images, classes and prompts.

    `origin` says where the content came from, `REPOSITORY@COMMIT` on the hub. It is for readers:
    equal content from elsewhere has the same identity.
    """

    fingerprint: str
    sample_ids: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a suite's names stand for, resolved: weights by hash, datasets by content.

    A name that could not be resolved is absent; its cells fail when they run. `specs` says
    by key path what the suite said when its names were resolved, and `origins` where weights
    came from, `REPOSITORY@COMMIT` on the hub, for readers. `whole` has the datasets with all of
    their images, where clean accuracy is that of all.
    """

    models: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, DatasetLock] = field(default_factory=dict)
    specs: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    whole: dict[str, DatasetLock] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """One number: a target model, a dataset, an attack at one budget, a threat model.

    Attributes:
        id: Identity of the number.
        craft_id: Identity of the adversarial images; empty for a clean cell.
        target: Name of the model that is scored.
        dataset: Name of the dataset.
        attack: The attack, or None for clean accuracy.
        eps: The one budget of this cell, as written in the suite; empty when clean.
        threat: Who the attacker knows; None when clean.
        seed: Seed of the attack's randomness.
        below: The cell of the next smaller budget where budgets are nested: what that broke
            is broken here.
        metric: What the number measures (`bench.metrics`).
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

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the models that the images are crafted on; the target's when white-box."""
        return (self.threat.sources if self.threat else ()) or (self.target,)

    @property
    def source(self) -> str:
        """What they are called in tables."""
        return (self.threat.source if self.threat else None) or self.target

    @property
    def mode(self) -> Mode:
        """How the images are crafted: a craft that others are scored on is always `full`.

        So is one that several metrics are read off: at its source's boundary it would be weak.
        """
        return _mode(self.threat, self.metric)

    @property
    def budget(self) -> Budget:
        """The ball that the attack must stay in."""
        if self.attack is None:
            return Budget(0.0)
        return Budget(eps_value(self.eps), self.attack.norm)


def spec_digests(suite: Suite) -> dict[str, str]:
    """Return a digest of what the suite says of each model and dataset, by key path."""
    models = {
        f"models.{name}": spec.model_dump(exclude={"gpus"}) for name, spec in suite.models.items()
    }
    chosen = {"samples": suite.samples, "seed": suite.seed}
    sets = {f"datasets.{d.name}": {**d.model_dump(), **chosen} for d in suite.datasets}
    return {key: _digest(value) for key, value in {**models, **sets}.items()}


def still_valid(suite: Suite, lock: Lock) -> Lock:
    """Return a stored lock without the names that the suite has since given another meaning."""
    now = spec_digests(suite)

    def same(key: str) -> bool:
        return lock.specs.get(key) == now.get(key)

    return Lock(
        {name: value for name, value in lock.models.items() if same(f"models.{name}")},
        {name: value for name, value in lock.datasets.items() if same(f"datasets.{name}")},
        lock.specs,
        lock.origins,
        {name: value for name, value in lock.whole.items() if same(f"datasets.{name}")},
    )


def scores_all(suite: Suite, dataset: DatasetSpec) -> bool:
    """Return whether clean accuracy is that of all images; a recall is among a sample's."""
    return suite.protocol.clean == "all" and task_of(dataset) == "classification"


def _unattacked(suite: Suite, lock: Lock, dataset: DatasetSpec) -> Mapping[str, DatasetLock]:
    return lock.whole if scores_all(suite, dataset) else lock.datasets


def images_of(suite: Suite, lock: Lock, cell: Cell) -> DatasetLock | None:
    """Return the images that a cell is scored on; None where they are not resolved."""
    spec = suite.dataset(cell.dataset)
    known = lock.datasets if cell.attack else _unattacked(suite, lock, spec)
    return known.get(cell.dataset)


def expand(suite: Suite, lock: Lock) -> list[Cell]:
    """Return all cells, in an order that keeps models warm and makes crafts before their use."""
    sources = {name for threat in suite.threats for name in threat.sources}
    order = sorted(suite.models, key=lambda name: name not in sources)
    return [
        cell
        for target in order
        for dataset in suite.datasets
        for cell in _cells(suite, lock, target, dataset)
    ]


def _cells(suite: Suite, lock: Lock, target: str, dataset: DatasetSpec) -> Iterator[Cell]:
    if not takes_part(suite.models, target, dataset):
        return
    for metric in metrics_of(dataset):
        yield from _cells_of(suite, lock, target, dataset, metric)


def _cells_of(
    suite: Suite, lock: Lock, target: str, dataset: DatasetSpec, metric: str
) -> Iterator[Cell]:
    data = _data_identity(suite, dataset, lock.datasets)
    scored = {
        "protocol": PROTOCOL,
        "target": model_identity(suite, lock, target),
        "data": data,
        **({} if metric == ACCURACY else {"metric": metric}),
        **(suite.protocol.model_dump(include={"answer_tokens"}) if worded(metric) else {}),
        **judge_identity(suite.protocol, metric),
    }
    images = _data_identity(suite, dataset, _unattacked(suite, lock, dataset))
    clean = _digest({**scored, "data": images, "attack": None})
    yield Cell(clean, "", target, dataset.name, None, "", None, suite.seed, metric=metric)
    for threat in suite.threats:
        for attack, seed in product(suite.attacks, suite.attack_seeds):
            sources = [model_identity(suite, lock, name) for name in threat.sources or (target,)]
            mode = _mode(threat, metric)
            nested = mode == "success" and isinstance(attack, NativeSpec) and attack.nested
            below: Cell | None = None
            for eps in sorted(attack.eps, key=eps_value) if nested else attack.eps:
                craft = _digest(
                    {
                        **_storage_identity(suite),
                        **({"below": below.craft_id} if below else {}),
                        "protocol": PROTOCOL,
                        "source": sources if len(sources) > 1 else sources[0],
                        "data": data,
                        "attack": attack_identity(attack),
                        **_surrogates_identity(suite, lock, attack),
                        "eps": eps_value(eps),
                        "mode": mode,
                        "seed": seed,
                    }
                )
                identity = _digest({**scored, "attack": craft})
                cell = Cell(
                    identity, craft, target, dataset.name, attack, eps, threat, seed, below,
                    metric,
                )  # fmt: skip
                below = cell if nested else None
                yield cell


def model_identity(suite: Suite, lock: Lock, name: str) -> dict[str, Any]:
    """Return what a model's answer depends on, without names and paths."""
    spec: ModelSpec = suite.models[name]
    fingerprint = lock.models.get(name, f"{UNRESOLVED}:{name}")
    if isinstance(spec, RAdaptModel):
        white = spec.anchor.white
        return {
            "radapt": spec.model_dump(include={"alpha", "cutoff", "mix", "cutoff_at"}),
            "base": model_identity(suite, lock, spec.base),
            "anchor": model_identity(suite, lock, white) if white else fingerprint,
            **({"anchor_resized": True} if spec.anchor.resize else {}),
        }
    if isinstance(spec, GraftModel):
        return {
            "graft": spec.modules,
            "base": model_identity(suite, lock, spec.base),
            "donor": model_identity(suite, lock, spec.donor),
        }
    if isinstance(spec, LvlmModel):  # recomputing blocks changes no number
        tower = {"tower": model_identity(suite, lock, spec.tower)} if spec.tower else {}
        return {"lvlm": spec.precision, "fingerprint": fingerprint, **tower}
    places = {"tower", "pretrained", "revision", "gpus"}
    configured = isinstance(spec, OpenClipModel) and (spec.folder or spec.repository)
    if isinstance(spec, HuggingFaceModel) or configured:
        places |= {"name"}  # the architecture is in the configuration, which is hashed
    settings = spec.model_dump(exclude=places, exclude_defaults=True)
    return {**settings, "fingerprint": fingerprint}


def pair_digest(
    suite: Suite, lock: Lock, model: str, dataset: str, more: Mapping[str, object]
) -> str:
    """Return an identity of a model, the images of a dataset that are attacked, and more."""
    data = _data_identity(suite, suite.dataset(dataset), lock.datasets)
    known = {"model": model_identity(suite, lock, model), "data": data}
    return _digest({**known, **more})


def attack_identity(attack: AnyAttack) -> dict[str, Any]:
    """Return what an attack's proposals depend on, without its name and budgets.

    That its budgets are nested is said by the smaller ones, which join a cell's identity; the
    smallest one is attacked as ever.
    """
    surrogate: dict[str, Any] = {"backward": {"model"}}  # a name; what it stands for is said apart
    member = {"name": True, "eps": True, "norm": True, **surrogate}
    own = {"name": True, "eps": True, "nested": True, **surrogate}
    exclude = {**own, "attacks": {"__all__": member}}
    known = attack.model_dump(exclude=exclude, exclude_defaults=True)
    return {**known, "parts": PART} if parts_matter(attack) else known


def _surrogates_identity(suite: Suite, lock: Lock, attack: AnyAttack) -> dict[str, Any]:
    found = [model_identity(suite, lock, name) for name in attack.surrogates]
    return {"surrogates": found} if found else {}


def _storage_identity(suite: Suite) -> dict[str, Any]:
    return suite.protocol.model_dump(include={"storage"}, exclude_defaults=True)


def _mode(threat: Threat | None, metric: str) -> Mode:
    transferred = threat is not None and threat.kind == "transfer"
    one = metric == ACCURACY or worded(metric)
    return "success" if one and not transferred else "full"


def _data_identity(
    suite: Suite, dataset: DatasetSpec, locks: Mapping[str, DatasetLock]
) -> dict[str, Any]:
    resolved = locks.get(dataset.name, DatasetLock(f"{UNRESOLVED}:{dataset.name}"))
    classified = task_of(dataset) == "classification"
    templates = suite.protocol.templates if classified else ()
    pixels = suite.protocol.pixels_of(dataset.name)
    return {
        "fingerprint": resolved.fingerprint,
        "samples": _digest(resolved.sample_ids),
        "classes": _digest(resolved.classes),
        "templates": resolved.templates if templates == "dataset" else templates,
        "pixels": pixels if pixels == "native" else pixels.model_dump(exclude_defaults=True),
        **suite.protocol.model_dump(include={"resize"}, exclude_defaults=True),
    }


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
