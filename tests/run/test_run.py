"""A run as a process: one at a time, stopped by Ctrl-C, limited in time, and told in events."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run_bench
from bench import load_results
from bench.run.events import read_events
from bench.run.suite_run import run_suite
from tests.commands.test_cli import call
from tests.plan.test_shards import own
from tests.support.clock import Clock
from tests.support.held_run import held, kept
from tests.support.stored_cells import segments


def events(results: Path) -> list[list[Any]]:
    """Return what each run has told, in their order."""
    return [list(read_events(path)) for path in sorted(results.glob("small/runs/*/events.jsonl"))]


def test_a_second_run_is_refused_while_the_first_goes_on(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite, results = suite_file(), tmp_path / "r"
    with held(suite, results, 1) as process:
        second = call(suite, "--results", results)
        beside = call("status", suite, "--results", results)
    assert second.returncode == 2
    assert f"another run uses this folder: process {process.pid} on " in second.stderr
    assert "Traceback" not in second.stderr
    assert beside.returncode == 0
    assert f"running: process {process.pid} on " in beside.stdout
    assert "worker 0 (" in beside.stdout
    assert len(events(results)) == 1  # the refused one told nothing
    after = call("status", suite, "--results", results).stdout
    assert f"died: process {process.pid} on " in after


def test_ctrl_c_stops_a_run_and_another_goes_on(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite, results = suite_file(samples=4), tmp_path / "r"
    with held(suite, results, 3) as process:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(600)
        assert process.exitcode == 130  # though nobody lets it go on
    said = (tmp_path / "errors.txt").read_text()
    assert said.splitlines()[-1] == "stopped; finished cells are kept, run again to continue"
    assert "Traceback" not in said
    done = kept(results)
    assert len(done) == 3  # the cell that it was at is given up, and no other is begun
    kept_files = {path: path.read_bytes() for path in segments(results / "small")}
    again = run_suite(suite, results=results)
    assert (again.cells, again.computed, again.failed) == (21, 21 - len(done), 0)
    assert all(path.read_bytes() == then for path, then in kept_files.items())
    whole = run_suite(suite, results=tmp_path / "undisturbed")
    times = ["seconds", "load_seconds"]
    tables = [load_results(report.folder).drop(columns=times) for report in (again, whole)]
    assert tables[0].equals(tables[1])
    first, second = events(results)
    assert [each[0]["event"] for each in (first, second)] == ["began", "began"]
    assert [event["event"] for event in first[-2:]] == ["starting", "ended"]
    assert (first[-1]["event"], first[-1]["how"]) == ("ended", "stopped")
    assert (second[-1]["event"], second[-1]["how"]) == ("ended", "done")
    assert second[0]["before"] == len(done)
    told_of = Counter(event["cell"] for event in first + second if event["event"] == "finished")
    assert set(told_of.values()) == {1}  # no cell twice
    assert len(told_of) == 21


def test_killed_and_started_again(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    suite, results = suite_file(samples=4), tmp_path / "r"
    with held(suite, results, 3):
        pass  # it is killed at the end of the block
    assert len(kept(results)) == 3
    again = call(suite, "--results", results, "--no-check")
    assert "21 cells, 18 computed now, 0 failed" in again.stdout, again.stderr
    whole = run_suite(suite, results=tmp_path / "undisturbed")
    disturbed, undisturbed = (
        load_results(folder)[["cell_id", "value"]] for folder in (results / "small", whole.folder)
    )
    assert disturbed.equals(undisturbed)


def test_a_time_limit(
    suite_file: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    clock: Clock,
) -> None:
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 40}]  # a second each
    suite = suite_file(models={"M": own("Slow")}, attacks=attacks, threats=["white-box"])
    command = ["run", str(suite), "--results", str(tmp_path), "--trust", "--device", "cpu"]
    command.append("--no-check")
    assert run_bench.main([*command, "--limit", "20s"]) == 1
    frame = load_results(tmp_path / "small").set_index("attack")
    assert frame.loc["clean", "status"] == "ok"
    assert "took more than the 20 seconds of --limit" in frame.loc["pgd", "reason"]
    assert run_bench.main([*command, "--limit", "1m"]) == 0
    assert "2 cells, 1 computed now, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["0s", "10", "-1m", "1.5h", "s", "soon", ""])
def test_a_time_limit_that_is_none(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_bench.main(["run", "suites/quickstart.yaml", f"--limit={limit}"])
    assert ended.value.code == 2
    assert f"--limit: got {limit!r}; a duration is needed, e.g. 90s" in capsys.readouterr().err
