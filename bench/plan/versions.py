"""Versions of the code of each attack, metric and task.

A version is raised when a change of the code changes numbers. It is part of the identity of the
cells and crafts that depend on it, so only these are computed again. Version 1 is left out of
identities. The version of an attack is in its spec class (`bench.suite.specs.attacks`), the
versions of metrics and tasks are in `bench.suite.metrics`. A test pins the outcome of each on a
tiny model, and names the version to raise when an outcome changes.
"""

from collections.abc import Iterator
from typing import Any

from bench.suite.load import Suite
from bench.suite.metrics import TASKS, metrics_of
from bench.suite.specs import AnyAttack, Ensemble, task_of


def versioned(key: str, version: int) -> dict[str, Any]:
    """Return the entry of a version in an identity; empty for version 1."""
    return {} if version == 1 else {key: version}


def versions_of(suite: Suite) -> dict[str, int]:
    """Return the versions of a suite's attacks, tasks and metrics, by key such as `attack pgd`."""
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
