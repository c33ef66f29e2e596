"""Identities of models, datasets and attacks: everything that changes a result, under a lock."""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.core.identifiers import ID_LENGTH
from bench.core.resolved_names import UNRESOLVED, DatasetLock, Lock
from bench.plan.shards import PART, part_size_matters
from bench.plan.versions import versioned
from bench.suite.load import Suite
from bench.suite.metrics import TASKS
from bench.suite.specs import (
    AnyAttack,
    DatasetSpec,
    Ensemble,
    ExternalImages,
    TransformersJudge,
    task_of,
)

# Version of the form of identities, under the key `protocol`. Raise it when the keys of identities
# change: this voids every stored result. If only numbers change, use `bench.plan.versions`.
IDENTITY_FORM = 1
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def spec_digests(suite: Suite) -> dict[str, str]:
    """Return a digest of the suite's entry for each model, dataset and local judge, by key path."""
    models = {f"models.{name}": spec.settings() for name, spec in suite.models.items()}
    sampling: dict[str, Any] = {"samples": suite.most_samples, "seed": suite.seed}
    if suite.until:
        sampling["shuffled"] = True
    sets = {f"datasets.{d.name}": {**d.model_dump(), **sampling} for d in suite.datasets}
    judge = suite.protocol.judge
    local = {"protocol.judge": judge.model_dump()} if isinstance(judge, TransformersJudge) else {}
    return {key: digest(value) for key, value in {**models, **sets, **local}.items()}


def still_valid(suite: Suite, lock: Lock) -> Lock:
    """Return a stored lock without the names whose entries in the suite have changed since."""
    now = spec_digests(suite)

    def same(key: str) -> bool:
        return lock.specs.get(key) == now.get(key)

    return Lock(
        {name: value for name, value in lock.models.items() if same(f"models.{name}")},
        {name: value for name, value in lock.datasets.items() if same(f"datasets.{name}")},
        lock.specs,
        lock.origins,
        {name: value for name, value in lock.whole.items() if same(f"datasets.{name}")},
        lock.judge if same("protocol.judge") else "",
        lock.images,  # a changed entry has another path
    )


def model_identity(suite: Suite, lock: Lock, name: str) -> dict[str, Any]:
    """Return everything that a model's output depends on, without names and paths."""
    fingerprint = lock.models.get(name, f"{UNRESOLVED}:{name}")
    return suite.models[name].identity(fingerprint, partial(model_identity, suite, lock))


def pair_digest(
    suite: Suite, lock: Lock, model: str, dataset: str, more: Mapping[str, object]
) -> str:
    """Return a hash of a model, the attacked images of a dataset, and the entries of `more`."""
    data = data_identity(suite, suite.dataset(dataset), lock.datasets)
    known = {"model": model_identity(suite, lock, model), "data": data}
    return digest({**known, **more})


def attack_identity(attack: AnyAttack) -> dict[str, Any]:
    """Return everything that an attack's proposals depend on, without its name and radii.

    It includes the versions of the attack and of an ensemble's members, if they are above 1.
    It does not say whether radii are nested: a nested craft's identity includes the identity of the
    craft at the next smaller radius.
    """
    # the model is named here; `surrogates_identity` has its content
    surrogate: dict[str, Any] = {"backward": {"model"}, "start": {"transfer"}}
    member = {"name": True, "eps": True, "norm": True, **surrogate}
    # so is the path of given images, whose content `external_identity` has
    own = {"name": True, "eps": True, "nested": True, "path": True, **surrogate}
    exclude = {**own, "attacks": {"__all__": member}}
    known = attack.model_dump(exclude=exclude, exclude_defaults=True)
    if isinstance(attack, Ensemble):
        known["attacks"] = [
            {**settings, **versioned("version", spec.version)}
            for settings, spec in zip(known["attacks"], attack.attacks, strict=True)
        ]
    parts = {"parts": PART} if part_size_matters(attack) else {}
    return {**known, **versioned("version", attack.version), **parts}


def surrogates_identity(suite: Suite, lock: Lock, attack: AnyAttack) -> dict[str, Any]:
    """Return the models that give an attack's gradients or starts, beside the attacked model."""
    found = [model_identity(suite, lock, name) for name in attack.surrogates]
    return {"surrogates": found} if found else {}


def external_identity(lock: Lock, attack: ExternalImages, dataset: str) -> str:
    """Return the content of the adversarial images that others made of a dataset."""
    path = attack.path_for(dataset)
    return lock.images.get(path, f"{UNRESOLVED}:{path}")


def storage_identity(suite: Suite) -> dict[str, Any]:
    """Return the storage format of crafts, if it is not the default."""
    return suite.protocol.model_dump(include={"storage"}, exclude_defaults=True)


def data_identity(
    suite: Suite, dataset: DatasetSpec, locks: Mapping[str, DatasetLock]
) -> dict[str, Any]:
    """Return everything about a dataset that changes results: images, classes, prompts, size.

    It includes the version of the dataset's task, if that is above 1.
    """
    resolved = locks.get(dataset.name, DatasetLock(f"{UNRESOLVED}:{dataset.name}"))
    task = TASKS[task_of(dataset)]
    classified = task.labels == "classes"
    pixels = suite.protocol.pixels_of(dataset.name)
    return {
        "fingerprint": resolved.fingerprint,
        "samples": digest(resolved.sample_ids),
        "classes": digest(resolved.classes),
        "templates": suite.protocol.templates_of(resolved.templates) if classified else (),
        "pixels": pixels if pixels == "native" else pixels.model_dump(exclude_defaults=True),
        **suite.protocol.model_dump(include={"resize"}, exclude_defaults=True),
        **versioned("task_version", task.version),
    }


def digest(value: object) -> str:
    """Return a hash of a JSON-serialisable value; equal values have equal hashes."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:ID_LENGTH]


def canonical(value: object) -> str:
    """Return a value as JSON; equal values have equal texts."""
    return _CANONICAL.encode(value)
