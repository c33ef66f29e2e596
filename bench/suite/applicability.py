"""Which models are scored on which datasets.

Answering models are scored only on datasets with questions, and all other models only on the rest.
Models of logits are scored only on datasets with classes.
"""

from collections.abc import Iterator, Mapping, Sequence

from bench.core.identifiers import shown
from bench.core.suggestions import listed
from bench.suite.metrics import TASKS, Task
from bench.suite.specs import (
    AnyAttack,
    DatasetSpec,
    ExternalImages,
    ModelSpec,
    NativeSpec,
    Threat,
    members_of,
    task_of,
)
from bench.suite.specs.models import root_model

_LANGUAGE_INPUTS = ("texts", "value features")  # loss inputs that need a dataset with questions


def answers_in_words(models: Mapping[str, ModelSpec], name: str) -> bool:
    """Return whether a declared model answers in words; an adapted model does if its base does."""
    return root_model(models, name).answers_in_words


def is_scored(models: Mapping[str, ModelSpec], name: str, dataset: DatasetSpec) -> bool:
    """Return whether a model has cells on a dataset."""
    return _misfit(models, name, TASKS[task_of(dataset)]) is None


def _misfit(models: Mapping[str, ModelSpec], name: str, task: Task) -> str | None:
    """Return why a model has no number for a task, as a verb phrase; None if it has."""
    if answers_in_words(models, name) != task.answers:
        return "does not answer in words" if task.answers else "answers in words"
    logits = models[name].gives_logits or root_model(models, name).gives_logits
    if logits and task.labels != "classes":
        return "returns logits of classes"
    return None


def applicability_faults(
    models: Mapping[str, ModelSpec],
    datasets: Sequence[DatasetSpec],
    attacks: Sequence[AnyAttack],
    threats: Sequence[Threat],
    places: Sequence[int],
) -> Iterator[str]:
    """Yield a fault for each model, attack and threat that the suite's datasets cannot use.

    Args:
        models: The suite's models, by name.
        datasets: The suite's datasets, all of one task.
        attacks: The suite's attacks, with presets expanded.
        threats: The suite's threats.
        places: For each attack, the index of its entry in the file. A preset is one entry.
    """
    task = TASKS[task_of(datasets[0])]
    words, but = task.answers, f"but the task of the datasets is {task.title}"
    for at, attack in zip(places, attacks, strict=True):
        for member in members_of(attack):
            if member.loss_input in (("classes",) if words else _LANGUAGE_INPUTS):
                needs = "classes" if words else "answers in words"
                yield f"attacks.{at}: {member.kind} needs {needs}, {but}"
        if isinstance(attack, ExternalImages) and not attack.fits(len(datasets)):
            yield (
                f"attacks.{at}.path: got {shown(attack.path)}; allowed in a suite with several "
                f"datasets: a path with {attack.PLACEHOLDER}, which stands for their names"
            )
    named = {name for threat in threats for name in threat.sources}
    named |= {name for attack in attacks for name in attack.surrogates}
    for name in models:
        named |= {*models[name].parents.values()}
    for at, threat in enumerate(threats):
        for source in threat.sources:
            if not words and (does := _misfit(models, source, task)):
                yield f"threats.{at}.transfer: {source} {does}, {but}"
    for name in models:
        if name not in named and (does := _misfit(models, name, task)):
            yield (
                f"models.{name}: {does}, {but}; it would be scored on no dataset, and no model, "
                "attack or threat uses it; remove it"
            )


def sequential_faults(
    datasets: Sequence[DatasetSpec],
    attacks: Sequence[AnyAttack],
    seeds: Sequence[int],
    places: Sequence[int],
) -> Iterator[str]:
    """Yield a fault for what cannot be stopped before all images; see `applicability_faults`.

    Questions and captions about one image are dependent, and recalls need all images. A nested
    attack needs the outcomes of a smaller radius, and a mean over seeds those of all seeds, which
    may have stopped before.
    """
    task = TASKS[task_of(datasets[0])]
    if task.labels != "classes":
        yield (
            f"samples.until: the task of the datasets is {task.title}; allowed in suites of "
            "classification"
        )
    if len(seeds) > 1:
        yield f"seeds: got {len(seeds)} seeds; allowed with `samples.until`: one"
    for at, attack in zip(places, attacks, strict=True):
        if isinstance(attack, NativeSpec) and attack.nested:
            yield f"attacks.{at}.nested: got true; allowed with `samples.until`: false"


def ranked_faults(
    models: Mapping[str, ModelSpec], attacks: Sequence[AnyAttack], compared: Sequence[str]
) -> Iterator[str]:
    """Yield a fault for what cannot be ranked.

    Args:
        models: The suite's models, by name.
        attacks: The suite's attacks, with presets expanded.
        compared: Names of the models whose ranks decide how many images there are.
    """
    for at, name in enumerate(compared):
        if name not in models:
            yield (
                f"samples.until.ranked.{at}: got {name!r}; models of the suite: "
                f"{listed(name, models)}"
            )
        elif name in compared[:at]:
            yield f"samples.until.ranked.{at}: {name} appears twice; a model may appear once"
    if compared and not any(attack.norm == "linf" for attack in attacks):
        yield "samples.until.ranked: ranks worst cases, which need an attack with norm linf"
