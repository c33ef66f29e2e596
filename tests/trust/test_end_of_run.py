"""The trust battery at the end of a run: what it gets to, and what it never does."""

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import bench.run.suite_run
import bench.trust.end_of_run
import bench.trust.examine
import run_bench
from bench import load_results
from bench.core.errors import DiskFull
from bench.core.resolved_names import Lock
from bench.core.types import unmeasured
from bench.evaluate.model_cache import ModelCache
from bench.plan.resolve import resolve
from bench.run.events import read_events
from bench.run.executors import Inline, Setup, on_device
from bench.run.executors.interface import RunJob
from bench.run.suite_run import run_suite
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite, load_suite
from bench.trust.battery import CHECKS, Check
from bench.trust.end_of_run import allowance
from bench.trust.examine import examine_pairs
from bench.trust.findings import Examined, Finding
from bench.trust.stored_findings import findings_and_todo
from bench.trust.subject import Effort, Subject
from tests.support.clock import CLOCK, Clock
from tests.trust.test_findings import one_model

Write = Callable[..., Path]
PAIR = ("CLIP", "cifar10")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Have time that does not pass, and some of it."""
    monkeypatch.setattr(bench.trust.end_of_run, "LEAST", 600.0)


def replaced(monkeypatch: pytest.MonkeyPatch, **checks: Check) -> list[str]:
    """Have all checks pass at once but for these, and return a list of what is done."""
    done: list[str] = []

    def passing(name: str) -> Check:
        def check(subject: Subject, effort: Effort) -> Finding:
            done.append(name)
            return checks[name](subject, effort) if name in checks else Finding(name, "pass", name)

        return check

    every = {name: passing(name) for name in CHECKS}
    quick = {name: every[name] for name in bench.trust.examine.QUICK}
    monkeypatch.setattr(bench.trust.examine, "CHECKS", every)
    monkeypatch.setattr(bench.trust.examine, "QUICK", quick)
    return done


def raising(error: BaseException) -> Check:
    def check(subject: Subject, effort: Effort) -> Finding:
        raise error

    return check


def endless(subject: Subject, effort: Effort) -> Finding:
    while True:
        CLOCK.sleep(1.0)
        subject.model(subject.images)


def warning(subject: Subject, effort: Effort) -> Finding:
    return Finding("chance", "warn", "so few")


def here(setup: Setup, *_: object) -> Inline:
    return Inline(on_device(setup, torch.device("cpu")), "cpu")


def found(suite: Suite, results: Path) -> Examined:
    examined, _ = findings_and_todo(read_results(suite, Store(results, suite.suite)), deep=False)
    return examined[PAIR]


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "trust").iterdir()}


@pytest.mark.usefixtures("patient")
def test_a_run_examines_what_it_computed_and_a_second_nothing(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite(one_model(suite_file))
    done = replaced(monkeypatch)
    first = run_suite(suite, results=tmp_path, device="cpu")
    assert (first.computed, first.unexamined) == (2, "")
    assert [one.check for one in found(suite, tmp_path).findings] == list(CHECKS)
    assert done == list(CHECKS)
    before = stamps(tmp_path / "small")
    second = run_suite(suite, results=tmp_path, device="cpu")
    assert (second.computed, second.unexamined) == (0, "")
    assert stamps(tmp_path / "small") == before
    assert done == list(CHECKS)
    events = list(read_events(next(iter(sorted(tmp_path.glob("small/runs/*/events.jsonl"))))))
    begun = [event["event"] for event in events].index("examining")
    assert events[begun]["numbers"] == 1
    *checks, last = events[begun + 1 :]
    assert [(event["check"], event["done"]) for event in checks] == [
        (check, place) for place, check in enumerate(CHECKS)
    ]
    assert {event["of"] for event in checks} == {len(CHECKS)}
    assert last["event"] == "ended"


def test_what_time_leaves_is_left_for_check(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], clock: Clock,
) -> None:  # fmt: skip
    path = one_model(suite_file)
    suite = load_suite(path)
    done = replaced(monkeypatch, noise=endless, chance=warning)
    monkeypatch.setattr(bench.trust.end_of_run, "LEAST", 2.0)
    call = [str(path), "--results", str(tmp_path), "--device", "cpu"]
    assert run_bench.main(["run", *call]) == 0
    said = capsys.readouterr()
    assert "examining 1 robust number, for 2 s at most" in said.err
    assert (
        "0 of 1 robust numbers fully examined, 1 partly, in their share of the time; "
        "`run_bench.py check SUITE` examines the rest"
    ) in said.out
    reached = list(CHECKS)[: list(CHECKS).index("noise")]
    assert done == [*reached, "noise"]
    record = found(suite, tmp_path)
    assert [one.check for one in record.findings] == reached
    assert record.seconds == clock.now == 3.0  # it ended at its first pass after 2 seconds
    flags = load_results(tmp_path / "small").set_index("attack")["flags"]
    assert flags.to_dict() == {"clean": "", "pgd": "doubt=chance"}

    assert run_suite(suite, results=tmp_path).unexamined == ""  # computes nothing, says nothing
    assert done[-1] == "noise"
    done.clear()
    replaced(monkeypatch, chance=warning)
    assert run_bench.main(["check", *call]) == 0
    assert "CLIP x cifar10: examined" in capsys.readouterr().out
    assert [one.check for one in found(suite, tmp_path).findings] == list(CHECKS)
    assert not set(reached) & set(done)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DiskFull("no room")])
@pytest.mark.usefixtures("patient")
def test_a_battery_that_is_broken_off_leaves_tables_with_what_it_found(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    suite = load_suite(one_model(suite_file))
    replaced(monkeypatch, chance=warning, noise=raising(error))
    if isinstance(error, DiskFull):
        save = bench.trust.examine.save_findings

        def save_findings(store: Store, key: str, record: Examined) -> None:
            save(store, key, record)
            if record.findings[-1].check == "shifted":  # the last of the quick ones
                raise error

        monkeypatch.setattr(bench.trust.examine, "save_findings", save_findings)
    with pytest.raises(type(error)):
        run_suite(suite, results=tmp_path, device="cpu")
    flags = load_results(tmp_path / "small").set_index("attack")["flags"]
    assert flags.to_dict() == {"clean": "", "pgd": "doubt=chance"}
    quick = len(bench.trust.examine.QUICK)
    done = quick + 1 if isinstance(error, KeyboardInterrupt) else quick  # zero-budget came between
    assert found(suite, tmp_path).not_done == len(CHECKS) - done
    (events,) = tmp_path.glob("small/runs/*/events.jsonl")
    how = "stopped" if isinstance(error, KeyboardInterrupt) else "no room"
    assert list(read_events(events))[-1]["how"] == how


@pytest.mark.usefixtures("patient")
def test_a_check_that_memory_ends_is_done_another_time(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = one_model(suite_file)
    suite = load_suite(path)
    replaced(monkeypatch, noise=raising(MemoryError("no room")))
    report = run_suite(suite, results=tmp_path, device="cpu")
    assert "0 of 1 robust numbers fully examined, 1 partly" in report.unexamined
    before = list(CHECKS)[: list(CHECKS).index("noise")]
    assert [one.check for one in found(suite, tmp_path).findings] == before
    call = ["check", str(path), "--results", str(tmp_path), "--device", "cpu"]
    assert run_bench.main(call) == 0
    assert "CLIP x cifar10: MemoryError: no room" in capsys.readouterr().out
    done = replaced(monkeypatch)
    assert run_bench.main(call) == 0
    assert done == list(CHECKS)[len(before) :]


@pytest.mark.usefixtures("patient")
def test_what_two_find_at_once_is_kept_of_both(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(subject: Subject, effort: Effort) -> Finding:
        (path,) = (tmp_path / "small" / "trust").iterdir()
        record = json.loads(path.read_text())
        record["findings"].append({"check": "square", "verdict": "fail", "evidence": "breaks 9"})
        path.write_text(json.dumps(record))
        return Finding("noise", "pass", "")

    suite = load_suite(one_model(suite_file))
    replaced(monkeypatch, noise=meanwhile, **{"other-loss": raising(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, results=tmp_path, device="cpu")
    before = list(CHECKS)[: list(CHECKS).index("other-loss")]
    assert [one.check for one in found(suite, tmp_path).findings] == [*before, "square"]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("command", ["run", "check"])
def test_an_examination_that_is_stopped_says_how_to_go_on(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], command: str,
) -> None:  # fmt: skip
    path = one_model(suite_file)
    if command == "check":
        run_suite(path, results=tmp_path, device="cpu", check=False)
    replaced(monkeypatch, chance=warning, noise=raising(KeyboardInterrupt()))
    call = [command, str(path), "--results", str(tmp_path), "--device", "cpu"]
    assert run_bench.main(call) == 130
    said = capsys.readouterr().err
    assert {
        "run": "stopped; all cells are done; `run_bench.py check SUITE` continues the examination",
        "check": "stopped; finished examinations are kept, run `check` again to continue",
    }[command] in said
    flags = load_results(tmp_path / "small").set_index("attack")["flags"]
    assert flags.to_dict() == {"clean": "", "pgd": "doubt=chance"}


def test_who_is_closed_lets_go_of_its_models() -> None:
    class Model:
        def __init__(self) -> None:
            self.itself = self  # as models are in cycles

    def doing(model: Model) -> RunJob:
        return lambda job: unmeasured(job.cell.id, "failed", str(model), 0.0, {})

    model = Model()
    there = weakref.ref(model)
    executor = Inline(doing(model), "cpu")
    del model
    assert there() is not None
    executor.close()
    assert there() is None


def examined_with(suite: Suite, results: Path, lock: Lock, gone: str) -> dict[str, str | None]:
    """Examine with what a lock has and without a model, and return what is said, by model."""
    store = Store(results, suite.suite)
    _, numbers = findings_and_todo(read_results(suite, store), deep=False)
    cache = ModelCache(suite, lock, {f"models.{gone}": "gone"}, torch.device("cpu"), 16, False)
    return {pair[0]: why for pair, why in examine_pairs(read_results(suite, store), numbers, cache)}


def test_a_check_that_wants_another_model_waits_for_it(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {name: {"kind": "nano", "weights": name.lower()} for name in ("CLIP", "FARE")}
    suite = load_suite(one_model(suite_file, models=both))
    run_suite(suite, results=tmp_path, device="cpu", check=False)
    done = replaced(monkeypatch)
    lock = resolve(suite)[0]
    said = examined_with(suite, tmp_path, lock, "FARE")
    assert said == {"CLIP": "transfer: no other model is available: 'FARE': gone", "FARE": "gone"}
    assert done == [name for name in CHECKS if name not in ("transfer", "stand-in")]
    assert found(suite, tmp_path).not_done == 2
    done.clear()
    other = replace(lock, models={**lock.models, "FARE": "other weights"})
    said = examined_with(suite, tmp_path, other, "TGA")
    assert "'FARE' changed since the suite ran" in str(said["CLIP"])
    assert "changed since the numbers were computed" in str(said["FARE"])
    assert done == []
    assert examined_with(suite, tmp_path, lock, "TGA") == {"CLIP": None, "FARE": None}
    assert done == ["transfer", "stand-in", *CHECKS]


def test_what_no_check_is_to_look_at_is_not_built(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("is built")

    suite = load_suite(one_model(suite_file))
    run_suite(suite, results=tmp_path, device="cpu", check=False)
    replaced(monkeypatch)
    lock = resolve(suite)[0]
    other = replace(lock, models={"CLIP": "other weights"})
    (why,) = examined_with(suite, tmp_path, other, "CLIP").values()
    assert (
        why
        == "the model or the dataset changed since the numbers were computed; run the suite again"
    )
    monkeypatch.setattr(bench.trust.examine, "CHECKS", bench.trust.examine.QUICK)
    monkeypatch.setattr(bench.trust.examine, "_others", asked)
    monkeypatch.setattr(bench.trust.examine, "_held_out", asked)
    assert examined_with(suite, tmp_path, lock, "FARE") == {"CLIP": None}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "changes",
    [
        {"attacks": None, "threats": ["white-box"]},
        {"threats": [{"transfer": "CLIP"}], "models": {
            "CLIP": {"kind": "nano", "weights": "clip"}, "FARE": {"kind": "nano", "weights": "fare"}
        }},
    ],
)  # fmt: skip
def test_suites_without_a_white_box_number(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    replaced(monkeypatch)
    report = run_suite(one_model(suite_file, **changes), results=tmp_path, device="cpu")
    assert (report.failed, report.unexamined) == (0, "")


def test_no_check_leaves_all(suite_file: Write, tmp_path: Path) -> None:
    report = run_suite(one_model(suite_file), results=tmp_path, device="cpu", check=False)
    assert report.unexamined == ""
    assert not (tmp_path / "small" / "trust").exists()


def test_the_share_is_of_the_time_of_what_is_examined(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite(one_model(suite_file))
    run_suite(suite, results=tmp_path, device="cpu", check=False)
    _, numbers = findings_and_todo(read_results(suite, Store(tmp_path, suite.suite)), deep=False)
    took = numbers[PAIR].seconds()
    attacked = load_results(tmp_path / "small").set_index("attack").loc["pgd", "seconds"]
    assert took == pytest.approx(float(attacked), abs=1e-3)
    monkeypatch.setattr(bench.trust.end_of_run, "SHARE", 0.5)
    assert allowance({}, numbers) == pytest.approx(0.5 * took)
    earlier = Examined(*PAIR, "1/255", "pgd", 12, False, 0.1 * took, ())
    assert allowance({PAIR: earlier}, numbers) == pytest.approx(0.4 * took)
    monkeypatch.setattr(bench.trust.end_of_run, "LEAST", took)
    assert allowance({PAIR: earlier}, numbers) == took


def test_a_run_under_ray_leaves_all_and_says_so(
    suite_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a worker of this process in place of Ray's, which start for seconds."""
    monkeypatch.setattr(bench.run.suite_run, "check_cluster", lambda address: None)
    monkeypatch.setattr(bench.run.suite_run, "Ray", here)
    report = run_suite(one_model(suite_file), results=tmp_path, device="cpu", executor="ray")
    assert report.computed == 2
    assert report.unexamined == (
        "0 of 1 robust numbers fully examined by a run under Ray; "
        "`run_bench.py check SUITE` examines the rest"
    )
    assert not (tmp_path / "small" / "trust").exists()
