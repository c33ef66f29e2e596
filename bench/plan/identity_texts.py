"""The parts of identities as JSON texts, each written once: a suite's cells share most of them."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from bench.core.identifiers import ID_LENGTH
from bench.core.resolved_names import Lock
from bench.plan.identity import (
    attack_identity,
    canonical,
    data_identity,
    model_identity,
    surrogates_identity,
)
from bench.suite.load import Suite
from bench.suite.specs import AnyAttack, DatasetSpec

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
