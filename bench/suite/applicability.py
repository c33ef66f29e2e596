"""Which models are scored on which datasets: those that answer in words on questions alone."""

from collections.abc import Iterator, Mapping, Sequence

from bench.suite.metrics import TASKS
from bench.suite.specs import (
    AnyAttack,
    DatasetSpec,
    ModelSpec,
    Threat,
    members_of,
    task_of,
)
from bench.suite.specs.models import root_model

_OF_WORDS = ("texts", "value features")


def answers_in_words(models: Mapping[str, ModelSpec], name: str) -> bool:
    """Return whether a declared model answers in words, as what it is built on does."""
    return root_model(models, name).answers_in_words


def is_scored(models: Mapping[str, ModelSpec], name: str, dataset: DatasetSpec) -> bool:
    """Return whether a model has cells on a dataset."""
    return answers_in_words(models, name) == TASKS[task_of(dataset)].answers


def applicability_faults(
    models: Mapping[str, ModelSpec],
    datasets: Sequence[DatasetSpec],
    attacks: Sequence[AnyAttack],
    threats: Sequence[Threat],
    places: Sequence[int],
) -> Iterator[str]:
    """Yield a fault for each entry of a suite that its task has no use for.

    Args:
        models: The suite's models.
        datasets: Its datasets, which are of one task.
        attacks: Its attacks.
        threats: Its threats.
        places: Numbers of the attacks in the file, where a preset may stand for several.
    """
    task = TASKS[task_of(datasets[0])]
    words, of_datasets = task.answers, f"and the task of the datasets is {task.title}"
    for at, attack in zip(places, attacks, strict=True):
        for member in members_of(attack):
            if member.loss_input in (("classes",) if words else _OF_WORDS):
                needs = "classes" if words else "answers in words"
                yield f"attacks.{at}: {member.kind} needs {needs}, {of_datasets}"
    named = {name for threat in threats for name in threat.sources}
    named |= {name for attack in attacks for name in attack.surrogates}
    for name in models:
        named |= {*models[name].parents.values()}
    for at, threat in enumerate(threats):
        for source in threat.sources:
            if answers_in_words(models, source) and not words:
                yield f"threats.{at}.transfer: {source} answers in words, {of_datasets}"
    for name in models:
        if answers_in_words(models, name) != words and name not in named:
            does = (
                "answers in words" if answers_in_words(models, name) else "does not answer in words"
            )
            yield (
                f"models.{name}: {does}, {of_datasets}; it would be scored on no dataset, and no "
                "model, attack or threat uses it"
            )
