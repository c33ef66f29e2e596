"""Which models are scored on which datasets: who answers in words, where words are asked for."""

from collections.abc import Iterator, Mapping, Sequence

from bench.suite.metrics import metrics_of, worded
from bench.suite.specs import (
    AnyAttack,
    ApgdCe,
    ApgdDlr,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Cw,
    DatasetSpec,
    Ensemble,
    ModelSpec,
    PyAutoAttack,
    Threat,
    TorchAttacks,
    ValueFeatures,
)
from bench.suite.specs.models import root_model

_OF_CLASSES = (ApgdCe, ApgdDlr, ApgdT, Cw, PyAutoAttack, TorchAttacks)
_OF_WORDS = (ApgdText, ApgdTextTargeted, ValueFeatures)


def answers(models: Mapping[str, ModelSpec], name: str) -> bool:
    """Return whether a declared model answers in words, as what it is built on does."""
    return root_model(models, name).answers_in_words


def asks(dataset: DatasetSpec) -> bool:
    """Return whether a dataset's images are asked about in words."""
    return worded(metrics_of(dataset)[0])


def scored(models: Mapping[str, ModelSpec], name: str, dataset: DatasetSpec) -> bool:
    """Return whether a model has cells on a dataset."""
    return answers(models, name) == asks(dataset)


def pair_faults(
    models: Mapping[str, ModelSpec],
    datasets: Sequence[DatasetSpec],
    attacks: Sequence[AnyAttack],
    threats: Sequence[Threat],
    places: Sequence[int],
) -> Iterator[str]:
    """Say what of a suite takes part in nothing; its datasets are of one task.

    `places` are those of the attacks in the file, where a preset may stand for several.
    """
    words = asks(datasets[0])
    asked = "are asked about in words" if words else "have classes or captions"
    for at, attack in zip(places, attacks, strict=True):
        members = attack.attacks if isinstance(attack, Ensemble) else (attack,)
        for member in members:
            if isinstance(member, _OF_CLASSES if words else _OF_WORDS):
                knows = "classes" if words else "what a model says"
                yield f"attacks.{at}: {member.kind} goes by {knows}; the datasets {asked}"
    named = {name for threat in threats for name in threat.sources}
    named |= {name for attack in attacks for name in attack.surrogates}
    for name in models:
        named |= {*models[name].parents.values()}
    for at, threat in enumerate(threats):
        for source in threat.sources:
            if answers(models, source) and not words:
                yield f"threats.{at}.transfer: {source} answers in words; the datasets {asked}"
    for name in models:
        if answers(models, name) != words and name not in named:
            does = "answers in words" if answers(models, name) else "does not answer in words"
            yield (
                f"models.{name}: {does}, and the datasets {asked}; it is scored on none, and no "
                "model, attack or threat names it"
            )
