"""Identities of cells and crafts, from JSON texts of their parts.

The cells of a suite share most parts, so each is written once, and a hash takes microseconds.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.core.identifiers import ID_LENGTH
from bench.core.resolved_names import Lock
from bench.core.types import Mode
from bench.plan.identity import (
    IDENTITY_FORM,
    attack_identity,
    canonical,
    data_identity,
    external_identity,
    model_identity,
    storage_identity,
    surrogates_identity,
)
from bench.plan.random_models import seeding_identity
from bench.plan.versions import versioned
from bench.suite.judge_prompt import judge_identity
from bench.suite.load import Suite
from bench.suite.metrics import ACCURACY, TASKS, metric_of
from bench.suite.specs import AnyAttack, DatasetSpec, ExternalImages, eps_value, task_of

Texts = Mapping[str, str]  # canonical JSON by key


def texts_of(identity: Mapping[str, Any]) -> Texts:
    """Return the canonical JSON of each entry."""
    return {key: canonical(value) for key, value in identity.items()}


def digest_of_texts(texts: Texts) -> str:
    """Return what `bench.plan.identity.digest` returns for an object with these entries."""
    whole = ",".join(f'"{key}":{texts[key]}' for key in sorted(texts))
    return hashlib.sha256(f"{{{whole}}}".encode()).hexdigest()[:ID_LENGTH]


class IdentityTexts:
    """Texts of the identities of models, datasets and attacks under a lock, each written once."""

    def __init__(self, suite: Suite, lock: Lock) -> None:
        """Begin without texts."""
        self._suite, self._lock = suite, lock
        self._models: dict[str, str] = {}
        self._data: dict[str, str] = {}
        self._attacks: dict[int, tuple[AnyAttack, Texts]] = {}  # by the object's id, and the object

    def model(self, name: str) -> str:
        """Return the identity of a model."""
        return _once(self._models, name, lambda: model_identity(self._suite, self._lock, name))

    def data(self, dataset: DatasetSpec) -> str:
        """Return the identity of the attacked images of a dataset."""
        return _once(
            self._data, dataset.name,
            lambda: data_identity(self._suite, dataset, self._lock.datasets),
        )  # fmt: skip

    def attack(self, attack: AnyAttack) -> Texts:
        """Return the identities of an attack and of the models that it needs besides its target."""
        if id(attack) not in self._attacks:
            surrogates = surrogates_identity(self._suite, self._lock, attack)
            texts = texts_of({"attack": attack_identity(attack), **surrogates})
            self._attacks[id(attack)] = attack, texts
        return self._attacks[id(attack)][1]


def _once(known: dict[str, str], name: str, identity: Callable[[], object]) -> str:
    if name not in known:
        known[name] = canonical(identity())
    return known[name]


def shared_texts(
    suite: Suite, lock: Lock, target: str, dataset: DatasetSpec, metric: str, texts: IdentityTexts
) -> Texts:
    """Return what the cells of a model on a dataset depend on, besides the attack."""
    answers = TASKS[task_of(dataset)].answers
    settings = {
        "protocol": IDENTITY_FORM,
        **({} if metric == ACCURACY else {"metric": metric}),
        **versioned("metric_version", metric_of(metric).version),
        **(suite.protocol.model_dump(include={"answer_tokens"}) if answers else {}),
        **judge_identity(suite.protocol, metric, lock),
        **_rule_identity(suite, metric),
    }
    return {**texts_of(settings), "target": texts.model(target), "data": texts.data(dataset)}


def attacked_texts(scored: Callable[[], Texts], craft: str, rule: Texts) -> Texts:
    """Return what a cell with an attack depends on.

    Args:
        scored: Returns `shared_texts`.
        craft: Id of the adversarial images.
        rule: When the cell stops, if outcomes decide that.
    """
    return {**scored(), "attack": canonical(craft), **rule}


class Once:
    """Texts that are made when they are first asked for: known names need none."""

    __slots__ = ("_make", "_texts")

    def __init__(self, make: Callable[[], Texts]) -> None:
        """Take what makes the texts."""
        self._make = make
        self._texts: Texts | None = None

    def __call__(self) -> Texts:
        """Return the texts."""
        if self._texts is None:
            self._texts = self._make()
        return self._texts


def craft_texts(
    suite: Suite,
    attack: AnyAttack,
    names: Sequence[str],
    dataset: DatasetSpec,
    mode: Mode,
    seed: int,
    ends: tuple[int, ...] | None,
    texts: IdentityTexts,
) -> Texts:
    """Return what a craft depends on, except for its radius."""
    sources = [texts.model(name) for name in names]
    settings = {
        **storage_identity(suite),
        "protocol": IDENTITY_FORM,
        **seeding_identity(attack, suite.models, names),
        "mode": mode,
        "seed": seed,
        **({"unit": ends[0]} if ends else {}),  # see `bench.plan.looks`
    }
    return {
        **texts_of(settings),
        "source": f"[{','.join(sources)}]" if len(sources) > 1 else sources[0],
        "data": texts.data(dataset),
        **texts.attack(attack),
    }


def radius_texts(craft: Callable[[], Texts], eps: str, below: str | None) -> Texts:
    """Return what a craft depends on.

    Args:
        craft: Returns `craft_texts`.
        eps: Radius, as written in the suite.
        below: Id of the craft at the next smaller radius, if radii are nested.
    """
    nested = {"below": below} if below else {}
    return {**craft(), **texts_of({**nested, "eps": eps_value(eps)})}


def given_images_texts(
    lock: Lock, attack: ExternalImages, dataset: str, eps: str, scored: Callable[[], Texts]
) -> Texts:
    """Return what adversarial images made by others depend on."""
    settings = {
        "protocol": IDENTITY_FORM,
        "images": external_identity(lock, attack, dataset),
        "attack": attack_identity(attack),
        "eps": eps_value(eps),
    }
    return {**texts_of(settings), "data": scored()["data"]}


def _rule_identity(suite: Suite, metric: str) -> dict[str, str]:
    """Return the rule by which a metric normalises answers, if it is not the default."""
    if not metric_of(metric).has_rule:
        return {}
    return suite.protocol.model_dump(include={"vqa_rule"}, exclude_defaults=True)
