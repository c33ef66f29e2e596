"""The outcome of each attack, metric and task is pinned, and moves only with its version.

What is pinned, and how it is written again: `tests.pinned.outcomes`.
"""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.suite.metrics import METRICS, TASKS
from tests.pinned import outcomes
from tests.pinned.outcomes import COMMAND, Outcome, attack_kinds, constant, faults, pinned


def test_no_outcome_moves() -> None:
    found = faults(pinned(), outcomes.outcomes())
    assert not found, "\n" + "\n".join(found)


def test_every_attack_metric_and_task_has_a_pinned_outcome() -> None:
    wanted = {f"attack {kind}" for kind in attack_kinds()}
    wanted |= {f"metric {metric.name}" for metric in METRICS}
    wanted |= {f"task {name}" for name in TASKS}
    assert pinned().keys() == wanted
    assert all(outcome["found"] for outcome in pinned().values())


def test_the_constants_that_are_named_exist() -> None:
    for kind, spec in attack_kinds().items():
        said = constant(f"attack {kind}")
        path = said.rpartition(" ")[2]
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert getattr(module, spec.__name__).version == spec.version
    assert constant("metric cider") == "`version` of the metric cider in bench/suite/metrics.py"
    assert constant("task retrieval") == "`version` of the task retrieval in bench/suite/metrics.py"


NOW = {
    "metric cider": Outcome(1, {"texts": {"scores": "0.5 1.0"}}, {}),
    "attack apgd-ce": Outcome(1, {"row": {"correct": "0101"}}, {"metric cider": 1}),
    "attack ensemble": Outcome(1, {"row": {"correct": "0100"}}, {"attack apgd-ce": 1}),
}


def stored(**other: Outcome) -> dict[str, Any]:
    both = {**NOW, **{name.replace("_", " ", 1).replace("_", "-"): o for name, o in other.items()}}
    return {name: vars(outcome) for name, outcome in both.items()}


def test_nothing_is_said_of_equal_outcomes() -> None:
    assert faults(stored(), NOW) == []
    nearly = replace(NOW["metric cider"], found={"texts": {"scores": "0.50004 1.0"}})
    assert faults(stored(metric_cider=nearly), NOW) == []


def test_an_outcome_that_moves_names_the_version_to_raise_and_the_command() -> None:
    other = replace(NOW["attack ensemble"], found={"row": {"correct": "1111"}})
    (line,) = faults(stored(attack_ensemble=other), NOW)
    assert "`version` of Ensemble in bench/suite/specs/ensembles.py" in line
    assert COMMAND in line and "was '1111', is '0100'" in line


def test_what_moves_with_a_part_of_it_is_put_down_to_the_part() -> None:
    member = replace(NOW["attack apgd-ce"], found={"row": {"correct": "1111"}})
    whole = replace(NOW["attack ensemble"], found={"row": {"correct": "1111"}})
    (line,) = faults(stored(attack_apgd_ce=member, attack_ensemble=whole), NOW)
    assert line.startswith("attack apgd-ce: ") and "`version` of ApgdCe in " in line


def test_a_raised_version_asks_for_new_pins_of_all_that_it_is_part_of() -> None:
    raised = {
        **NOW,
        "metric cider": replace(NOW["metric cider"], version=2, found={"texts": {"scores": "9"}}),
        "attack apgd-ce": replace(NOW["attack apgd-ce"], by={"metric cider": 2}, found={"row": {}}),
    }
    assert faults(stored(), raised) == [
        f"metric cider: is pinned at other versions: run `{COMMAND}`",
        f"attack apgd-ce: is pinned at other versions: run `{COMMAND}`",
    ]


def test_the_command_writes_new_outcomes_only_with_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outcomes, "FILE", tmp_path / "outcomes.json")
    monkeypatch.setattr(outcomes, "outcomes", lambda: NOW)
    assert outcomes.main() == 0
    first = outcomes.FILE.read_text()
    moved = replace(NOW["metric cider"], found={"texts": {"scores": "0.5 2.0"}})
    monkeypatch.setattr(outcomes, "outcomes", lambda: {**NOW, "metric cider": moved})
    assert outcomes.main() == 1
    assert outcomes.FILE.read_text() == first
    assert "raise `version` of the metric cider" in capsys.readouterr().out
    raised = {**NOW, "metric cider": replace(moved, version=2)}
    monkeypatch.setattr(outcomes, "outcomes", lambda: raised)
    assert outcomes.main() == 0
    assert faults(pinned(), raised) == []
