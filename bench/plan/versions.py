"""Versions of what the code computes: of each attack, metric and task.

A version is raised when a change of the code changes numbers. It is part of the identity of the
cells and crafts that depend on it, so that these are computed again and no others. A version of 1
is left out of identities. Attacks have theirs as `version` on their spec classes
(`bench.suite.specs.attacks`), metrics and tasks in their values (`bench.suite.metrics`). A test
pins the outcome of each on a tiny model, and says which version to raise when one moves.
"""

from collections.abc import Iterator
from typing import Any

from bench.suite.load import Suite
from bench.suite.metrics import TASKS, metrics_of
from bench.suite.specs import AnyAttack, Ensemble, task_of


def versioned(key: str, version: int) -> dict[str, Any]:
    """Return what a version adds to an identity: nothing where it is 1."""
    return {} if version == 1 else {key: version}


def versions_of(suite: Suite) -> dict[str, int]:
    """Return the versions of all that a suite uses, by kind and name: `attack pgd`."""
    return dict(_versions_of(suite))


def _versions_of(suite: Suite) -> Iterator[tuple[str, int]]:
    for attack in suite.attacks:
        yield from _attack_versions(attack)
    for dataset in suite.datasets:
        task = TASKS[task_of(dataset)]
        yield f"task {task.name}", task.version
        for metric in metrics_of(dataset):
            yield f"metric {metric.name}", metric.version


def _attack_versions(attack: AnyAttack) -> Iterator[tuple[str, int]]:
    yield f"attack {attack.kind}", attack.version
    for member in attack.attacks if isinstance(attack, Ensemble) else ():
        yield from _attack_versions(member)
