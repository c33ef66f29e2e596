"""A version that is raised voids the cells and crafts that depend on it, and no others."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from bench.plan.cells import Cell, expand
from bench.plan.random_models import seeding_identity
from bench.plan.versions import versions_of
from bench.suite.load import Suite
from bench.suite.metrics import METRICS, TASKS, metrics_of
from bench.suite.specs import ApgdCe, DatasetSpec, Ensemble, Pgd, PyAutoAttack, TaskName
from tests.pinned.identities import fixed_lock, kinds

ATTACKS: list[dict[str, Any]] = [
    {"kind": "pgd", "eps": "1/255"},
    {"kind": "apgd-ce", "eps": ["1/255", "2/255"], "nested": True},
    {"kind": "ensemble", "eps": "1/255", "attacks": [{"kind": "fgsm"}, {"kind": "apgd-ce"}]},
]
WORLD = {
    "suite": "versions",
    "protocol": {"preset": "radapt-paper"},
    "samples": 3,
    "models": {"CLIP": {"kind": "nano", "weights": "clip"}},
    "attacks": ATTACKS,
    "threats": ["white-box", {"transfer": "CLIP"}],
}
CAPTIONED = {"kind": "webdataset", "name": "captioned", "path": "data", "task": "retrieval"}
CLASSES = Suite.model_validate({**WORLD, "datasets": ["cifar10"]})
RETRIEVAL = Suite.model_validate({**WORLD, "datasets": [CAPTIONED]})


def cells() -> list[Cell]:
    """Return the cells of both suites."""
    return [cell for suite in (CLASSES, RETRIEVAL) for cell in expand(suite, fixed_lock(suite))]


def changed() -> list[tuple[Cell, Cell]]:
    """Return each cell as it was and as it is, where its id or its craft's is another now."""
    both = zip(BEFORE, cells(), strict=True)
    return [(a, b) for a, b in both if (a.id, a.craft_id) != (b.id, b.craft_id)]


BEFORE = cells()


def test_an_attack_s_version_is_in_its_cells_and_in_those_of_ensembles_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ApgdCe, "version", 2)
    moved = changed()
    dependent = [c for c in BEFORE if c.attack and c.attack.kind in ("apgd-ce", "ensemble")]
    assert [a for a, _ in moved] == dependent
    assert all(a.craft_id != b.craft_id for a, b in moved)
    monkeypatch.undo()
    monkeypatch.setattr(Pgd, "version", 2)
    assert {a.attack.kind for a, _ in changed() if a.attack} == {"pgd"}


def test_a_metric_s_version_is_in_its_cells_and_in_no_craft(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised = [
        replace(metric, version=2) if metric.name == "text_retrieval_recall@5" else metric
        for metric in METRICS
    ]
    monkeypatch.setattr("bench.suite.metrics._BY_NAME", {metric.name: metric for metric in raised})
    moved = changed()
    assert [a for a, _ in moved] == [c for c in BEFORE if c.metric == "text_retrieval_recall@5"]
    assert all(a.craft_id == b.craft_id for a, b in moved)


def test_a_task_s_version_is_in_all_of_its_cells_and_crafts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised = replace(TASKS["classification"], version=2)
    monkeypatch.setitem(TASKS, "classification", raised)
    moved = changed()
    assert [a for a, _ in moved] == [c for c in BEFORE if c.dataset == "cifar10"]
    assert all(a.craft_id != b.craft_id for a, b in moved if a.attack)


def test_each_version_is_an_identity_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for number in (1, 2, 3):
        monkeypatch.setattr(Pgd, "version", number)
        seen.add(next(c.craft_id for c in cells() if c.attack and c.craft_id))
    assert len(seen) == 3


def test_every_metric_and_task_has_a_version() -> None:
    def sets() -> list[DatasetSpec]:
        return [dataset for suite in kinds().values() for dataset in suite.datasets]

    assert set(METRICS) == {metric for d in sets() for metric in metrics_of(d)}
    named = {task for part in get_args(TaskName) for task in get_args(part) or (part,)}
    assert TASKS.keys() == named


def test_a_suite_s_versions_are_of_all_that_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApgdCe, "version", 4)
    raised = replace(TASKS["retrieval"], version=3)
    monkeypatch.setitem(TASKS, "retrieval", raised)
    metrics = tuple(replace(m, task=raised) if m.task.name == "retrieval" else m for m in METRICS)
    monkeypatch.setattr("bench.suite.metrics.METRICS", metrics)
    attacks = {"attack pgd": 1, "attack apgd-ce": 4, "attack ensemble": 1, "attack fgsm": 1}
    classes = {"task classification": 1, "metric accuracy": 1}
    assert versions_of(CLASSES) == {**attacks, **classes}
    recalls = {f"metric {metric.name}": 1 for metric in METRICS if "recall" in metric.name}
    assert versions_of(RETRIEVAL) == {**attacks, "task retrieval": 3, **recalls}


def test_the_seeds_of_pyautoattack_are_in_the_identity_of_random_models_alone() -> None:
    suite = Suite.model_validate(
        {
            **WORLD,
            "models": {**WORLD["models"], "TTC": {"kind": "ttc", "base": "CLIP"}},
            "datasets": ["cifar10"],
        }
    )
    alone = PyAutoAttack(kind="pyautoattack", attack="square", eps=("1/255",))
    averaged = Ensemble(kind="ensemble", eps=("1/255",), attacks=[{"kind": "pyautoattack"}], eot=8)
    assert seeding_identity(alone, suite.models, ["TTC"]) == {"seeding": 2}
    assert seeding_identity(alone, suite.models, ["CLIP"]) == {}
    assert seeding_identity(averaged, suite.models, ["TTC"]) == {}
