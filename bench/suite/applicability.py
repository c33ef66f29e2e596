"""Which models are scored on which datasets: who answers in words, where words are asked for."""

from collections.abc import Iterator, Mapping, Sequence

from bench.suite.metrics import TASKS
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
    GraftModel,
    LvlmModel,
    ModelSpec,
    PyAutoAttack,
    PythonModel,
    RAdaptModel,
    Threat,
    TinyModel,
    TorchAttacks,
    ValueFeatures,
    task_of,
)

_OF_CLASSES = (ApgdCe, ApgdDlr, ApgdT, Cw, PyAutoAttack, TorchAttacks)
_OF_WORDS = (ApgdText, ApgdTextTargeted, ValueFeatures)


def answers(models: Mapping[str, ModelSpec], name: str) -> bool:
    """Return whether a declared model answers in words, as what it is built on does."""
    match spec := models[name]:
        case RAdaptModel() | GraftModel():
            return answers(models, spec.base)
        case PythonModel():
            return spec.answers
        case _:
            return isinstance(spec, LvlmModel | TinyModel)


def asks(dataset: DatasetSpec) -> bool:
    """Return whether models answer questions about a dataset's images in words."""
    return TASKS[task_of(dataset)].answers


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
        named |= built_on(models[name])
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


def built_on(spec: ModelSpec) -> set[str]:
    """Return the declared models that a model is made of."""
    match spec:
        case RAdaptModel():
            return {spec.base, *([spec.anchor.white] if spec.anchor.white else [])}
        case GraftModel():
            return {spec.base, spec.donor}
        case LvlmModel():
            return {spec.tower} if spec.tower else set()
        case _:
            return set()
