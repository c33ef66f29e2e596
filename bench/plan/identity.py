"""What changes an answer: the identity of models, datasets and attacks, under a lock."""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.core.identifiers import ID_LENGTH
from bench.core.locks import UNRESOLVED, DatasetLock, Lock
from bench.plan.shards import PART, parts_matter
from bench.plan.versions import versioned
from bench.suite.load import Suite
from bench.suite.metrics import TASKS
from bench.suite.specs import (
    AnyAttack,
    DatasetSpec,
    Ensemble,
    TransformersJudge,
    task_of,
)

# Version of the form of identities, under the key `protocol`: raised when what they are made of is
# arranged anew, which voids every stored result. Numbers have `bench.plan.versions`.
IDENTITY_FORM = 1


def spec_digests(suite: Suite) -> dict[str, str]:
    """Return a digest of what the suite says of all that it has resolved, by key path."""
    models = {
        f"models.{name}": spec.model_dump(exclude={"gpus"}) for name, spec in suite.models.items()
    }
    chosen = {"samples": suite.samples, "seed": suite.seed}
    sets = {f"datasets.{d.name}": {**d.model_dump(), **chosen} for d in suite.datasets}
    judge = suite.protocol.judge
    local = {"protocol.judge": judge.model_dump()} if isinstance(judge, TransformersJudge) else {}
    return {key: digest(value) for key, value in {**models, **sets, **local}.items()}


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
        lock.judge if same("protocol.judge") else "",
    )


def model_identity(suite: Suite, lock: Lock, name: str) -> dict[str, Any]:
    """Return what a model's answer depends on, without names and paths."""
    fingerprint = lock.models.get(name, f"{UNRESOLVED}:{name}")
    return suite.models[name].identity(fingerprint, partial(model_identity, suite, lock))


def pair_digest(
    suite: Suite, lock: Lock, model: str, dataset: str, more: Mapping[str, object]
) -> str:
    """Return an identity of a model, the images of a dataset that are attacked, and more."""
    data = data_identity(suite, suite.dataset(dataset), lock.datasets)
    known = {"model": model_identity(suite, lock, model), "data": data}
    return digest({**known, **more})


def attack_identity(attack: AnyAttack) -> dict[str, Any]:
    """Return what an attack's proposals depend on, without its name and budgets.

    It holds the attack's version, and in an ensemble those of its members, where they are above 1.
    Whether budgets are nested is not in it: each nested budget's craft names the smaller one's.
    """
    surrogate: dict[str, Any] = {
        "backward": {"model"}
    }  # a name: `surrogates_identity` has its content
    member = {"name": True, "eps": True, "norm": True, **surrogate}
    own = {"name": True, "eps": True, "nested": True, **surrogate}
    exclude = {**own, "attacks": {"__all__": member}}
    known = attack.model_dump(exclude=exclude, exclude_defaults=True)
    if isinstance(attack, Ensemble):
        known["attacks"] = [
            {**said, **versioned("version", of.version)}
            for said, of in zip(known["attacks"], attack.attacks, strict=True)
        ]
    parts = {"parts": PART} if parts_matter(attack) else {}
    return {**known, **versioned("version", attack.version), **parts}


def surrogates_identity(suite: Suite, lock: Lock, attack: AnyAttack) -> dict[str, Any]:
    """Return what the gradients of an attack come from, where that is not the attacked model."""
    found = [model_identity(suite, lock, name) for name in attack.surrogates]
    return {"surrogates": found} if found else {}


def storage_identity(suite: Suite) -> dict[str, Any]:
    """Return in which form attacked images are kept, where it is not the usual one."""
    return suite.protocol.model_dump(include={"storage"}, exclude_defaults=True)


def data_identity(
    suite: Suite, dataset: DatasetSpec, locks: Mapping[str, DatasetLock]
) -> dict[str, Any]:
    """Return what the images of a dataset and their classes are, as models are given them.

    It holds the version of the dataset's task where that is above 1.
    """
    resolved = locks.get(dataset.name, DatasetLock(f"{UNRESOLVED}:{dataset.name}"))
    task = TASKS[task_of(dataset)]
    classified = task.labels == "classes"
    templates = suite.protocol.templates if classified else ()
    pixels = suite.protocol.pixels_of(dataset.name)
    return {
        "fingerprint": resolved.fingerprint,
        "samples": digest(resolved.sample_ids),
        "classes": digest(resolved.classes),
        "templates": resolved.templates if templates == "dataset" else templates,
        "pixels": pixels if pixels == "native" else pixels.model_dump(exclude_defaults=True),
        **suite.protocol.model_dump(include={"resize"}, exclude_defaults=True),
        **versioned("task_version", task.version),
    }


def digest(value: object) -> str:
    """Return a hash of a value that is the same for equal values; `value` must fit into JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
