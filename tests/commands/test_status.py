"""`status` beside a run, after one, and after one that was killed; through the command."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.commands.status import run_lines
from bench.run.events import read_events
from tests.commands.test_cli import ENVIRONMENT, ROOT, call

# a run that keeps two workers busy and waits until it is told to end
_RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
import bench.run.events
from bench.run.events import EventFile
from bench.run.jobs import Job
from bench.core.resolved_names import Lock
from bench.plan.cells import expand
from bench.store.folder_lock import lock_folder
from bench.suite.load import load_suite
from bench.core.types import CellResult

bench.run.events.time = SimpleNamespace(monotonic=lambda: 0.0)  # all happens at once
folder, logs = Path(sys.argv[2]), Path(sys.argv[2]) / "runs" / "20260101T000000-1"
cells = expand(load_suite(sys.argv[1]), Lock())
jobs = [Job(cell.id, cell) for cell in cells[:20]]
jobs.append(Job("part", cells[0], 0))
none = np.zeros(0, np.float32)

def result(job, status):
    return CellResult(job.cell.id, status, none > 0, (), none, 1.0, 1000, {}, "why")

with lock_folder(folder, "ray", logs):
    events = EventFile(logs / "events.jsonl")
    events.begin(cells, jobs, 3)
    for slot in "012":
        events.opened(slot, f"host, process {slot}, cuda:{slot}")
    events.starting("0", jobs[0], 10.0)
    events.finished("0", jobs[0], result(jobs[0], "ok"), 5000.0)
    events.starting("0", jobs[1], 120.0)
    events.again("1", jobs[2], "out of memory", 1.0)
    events.starting("1", jobs[20], None)
    events.lost("2", "killed by signal 9")
    events.opened("3", "host, process 3, cuda:2")
    print("running", flush=True)
    sys.stdin.read()
    events.finished("0", jobs[1], result(jobs[1], "failed"), 4900.0)
    events.ended("stopped")
"""


@contextmanager
def running(suite: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _RUN, str(suite), str(folder)]
    with subprocess.Popen(
        command, stdin=-1, stdout=-1, text=True, cwd=ROOT, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        yield process


def status(suite: Path, results: Path) -> str:
    done = call("status", suite, "--results", results)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status_of_a_run(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    suite, results = suite_file(), tmp_path / "r"
    before = status(suite, results)
    assert "0 ok, 0 skip, 0 failed, 21 missing" in before
    assert len(before.splitlines()) == 2
    with running(suite, results / "small") as process:
        text = status(suite, results)
        assert f"running: process {process.pid} on " in text
        assert "executor ray" in text
        assert "worker 0 (host, process 0, cuda:0): CLIP · cifar10 · pgd 1/255 white-box," in text
        assert re.search(r"white-box, \d+ (s|min) of about 2 min", text)
        assert "worker 1 (host, process 1, cuda:1): CLIP · cifar10 · clean · part 1, " in text
        assert "worker 2" not in text.replace("lost worker 2: killed by signal 9", "")
        assert "worker 3 (host, process 3, cuda:2): idle" in text
        assert "this run: 1 of 20 cells, 19 left; 1 before it" in text
        assert "in parts: 1 of 21 jobs" in text
        assert re.search(r"images/s, \d+ min left", text)
        assert "trouble: 1 tried again, 1 lost" in text
        assert str(results / "small" / "runs" / "20260101T000000-1") in text
        again = status(suite, results)  # whoever looks leaves the lock as it was
        assert f"running: process {process.pid} on " in again
        process.communicate("")
    text = status(suite, results)
    assert "no run; the last run ended at " in text
    assert ": stopped" in text
    assert "this run: 2 of 20 cells, 18 left; 1 before it" in text
    assert "worker 0" not in text


def test_status_of_a_run_that_was_killed(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    suite, results = suite_file(), tmp_path / "r"
    with running(suite, results / "small") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        text = status(suite, results)
    assert f"died: process {process.pid} on " in text
    events = results / "small" / "runs" / "20260101T000000-1" / "events.jsonl"
    last = json.loads(events.read_text().splitlines()[-1])["time"]
    assert f"its last event was at {last}; run again to continue" in text
    assert "this run: 1 of 20 cells" in text
    assert "running" not in text


def test_a_workers_time_goes_on_between_events(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    with running(suite_file(), tmp_path):
        (file,) = tmp_path.glob("runs/*/events.jsonl")
        last = datetime.fromisoformat(list(read_events(file))[-1]["time"])
        text = "\n".join(run_lines(tmp_path, last))
        assert "white-box, 0 s of about 2 min" in text
        assert "83 min left, 0 s so far" in text
        later = last + timedelta(hours=1)
        text = "\n".join(run_lines(tmp_path, later))
        assert "white-box, 60 min of about 2 min" in text
        assert "23 min left, 60 min so far" in text
        text = "\n".join(run_lines(tmp_path, later - timedelta(days=1)))  # another node's clock
        assert "white-box, 0 s of about 2 min" in text


def test_a_lock_that_is_free_is_only_known_so_from_here(tmp_path: Path) -> None:
    other = {"host": "elsewhere", "pid": 1, "started": "then", "executor": "inline", "logs": "x"}
    (tmp_path / "run.json").write_text(json.dumps(other))
    (line,) = run_lines(tmp_path, datetime.now(UTC))
    assert "died: process 1 on elsewhere since then" in line
    assert f"it may still run there: {socket.gethostname()} may not see its lock" in line


@pytest.mark.parametrize("damage", ["", "{", '{"event": "began"'])
def test_a_run_whose_events_cannot_be_read(
    suite_file: Callable[..., Path], tmp_path: Path, damage: str
) -> None:
    with running(suite_file(), tmp_path):
        (tmp_path / "runs" / "20260101T000000-1" / "events.jsonl").write_text(damage)
        lines = list(run_lines(tmp_path, datetime.now(UTC)))
    assert [line.split(":")[0].strip() for line in lines] == ["running", "logs"]


def test_status_brings_no_torch(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    code = (
        "import sys, run_bench; run_bench.main(['status', *sys.argv[1:]]); "
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(suite_file()), "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
