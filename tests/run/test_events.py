"""Event files, and how far a run is by them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench.run.events
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.run.events import EventFile, read_events, read_progress
from bench.run.jobs import Job
from bench.run.progress import Doing, progress_of
from bench.suite.load import Suite


class Clock:
    """A clock that nobody sets, and one on the wall that anyone may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)
        monkeypatch.setattr(bench.run.events.time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(bench.run.events, "datetime", self)

    def now(self, _: object) -> datetime:
        return self.wall

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)


def outcome(cell: Cell, status: str = "ok", queries: int = 100, reason: str | None = None) -> Any:
    none = np.zeros(0, np.float32)
    return CellResult(cell.id, status, none > 0, (), none, 2.0, queries, {}, reason)  # type: ignore[arg-type]


@pytest.fixture
def cells(small: Suite) -> list[Cell]:
    return expand(small, Lock())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one" / "events.jsonl"


def test_a_run_is_told_line_by_line(
    cells: list[Cell], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, file = Clock(monkeypatch), EventFile(path)
    part = Job(f"{cells[3].id}.0", cells[3], 0)
    jobs = [part, *(Job(cell.id, cell) for cell in cells[1:4])]
    file.begin([*cells, cells[0]], jobs, 2)
    file.opened("0", "a machine, process 7, cuda:0")
    file.opened("1", "a machine, process 8, cuda:1")
    clock.pass_by(1)
    file.starting("0", jobs[0], 30.0)
    clock.pass_by(2)
    file.starting("1", jobs[1], None)
    file.finished("0", jobs[0], outcome(cells[3]), 40.0)
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines] == [
        *("began", "opened", "opened", "starting", "starting", "finished")
    ]
    assert [json.loads(line)["at"] for line in lines] == [0, 0, 0, 1, 3, 3]
    assert json.loads(lines[3])["what"].endswith("· part 1")
    assert json.loads(lines[0])["time"] == "2026-01-01T00:00:00.000+00:00"

    found = progress_of(read_events(path))
    assert found is not None
    assert (found.cells, found.before, found.jobs, found.slots) == (21, 18, 4, 2)
    assert (found.done, found.statuses) == (1, {})  # a part is no cell
    assert list(found.doing) == ["1"]
    assert found.doing["1"].since == 3
    assert found.rate(5.0) == "0 images/s, 38 s left"  # its cell counts them
    assert found.how is None

    file.again("1", jobs[1], "out of memory", 1.5)
    file.starting("0", jobs[2], 1.0)
    file.lost("0", "killed")
    file.opened("2", "a machine, process 9, cuda:0")
    file.starting("2", jobs[2], 1.0)
    file.finished("2", jobs[2], outcome(cells[2], "failed", 50, "why"), None)
    found = progress_of(read_events(path))
    assert found is not None
    assert (found.retries, found.lost) == (1, ("0: killed",))
    assert (found.statuses, found.done, found.images) == ({"failed": 1}, 2, 50)
    assert (found.doing, set(found.where)) == ({}, {"1", "2"})
    assert found.left == (40.0, 3.0)  # no newer estimate
    assert found.troubles() == "1 failed, 1 tried again, 1 lost"
    file.ended("done")
    found = progress_of(read_events(path))
    assert found is not None
    assert found.how == "done"


def test_a_clock_that_jumps_changes_no_duration(
    cells: list[Cell], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, file = Clock(monkeypatch), EventFile(path)
    file.begin(cells, [Job(cells[0].id, cells[0])], 1)
    clock.pass_by(5)
    clock.wall -= timedelta(hours=30)
    file.starting("0", Job(cells[0].id, cells[0]), 30.0)
    found = progress_of(read_events(path))
    assert found is not None
    assert (found.at, found.doing["0"].since) == (5, 5)
    assert found.time.startswith("2025-12-30")


def test_a_torn_file_is_read_as_far_as_it_goes(cells: list[Cell], path: Path) -> None:
    file = EventFile(path)
    file.begin(cells, [Job(cell.id, cell) for cell in cells], 1)
    file.starting("0", Job(cells[0].id, cells[0]), 30.0)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole) - 1):
        path.write_bytes(whole[:end])
        found = progress_of(read_events(path))
        assert found is not None
        assert found.doing == {}
    path.write_bytes(whole[: first - 2])
    assert progress_of(read_events(path)) is None
    assert progress_of(read_events(path.parent / "none")) is None


def test_progress_is_read_from_the_last_that_the_file_has(
    cells: list[Cell], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.run.events, "_EVERY", 4)
    monkeypatch.setattr(bench.run.events, "_TAIL", 6_000)
    file, job = EventFile(path), Job(cells[0].id, cells[0])
    file.begin(cells, [job], 1)
    for count in range(40):
        file.opened(str(count), "here")
        file.starting(str(count), job, 30.0)
        if count % 3 == 0:
            file.lost(str(count), "killed")
        else:
            file.finished(str(count), job, outcome(cells[0], queries=count), 8.0)
    lines = path.read_bytes().splitlines(keepends=True)
    whole = progress_of(read_events(path))
    assert whole is not None
    assert (whole.losses, len(whole.lost), whole.done) == (14, 10, 26)
    assert read_progress(path) == whole
    path.write_bytes(b"".join(b"{}\n" if b'"began"' in line else line for line in lines))
    assert read_progress(path) == whole  # the first line is not looked at
    last = max(place for place, line in enumerate(lines) if b'"so far"' in line)
    torn = [*lines[:last], lines[last][:50]]
    for end in (b"", b"\n"):
        path.write_bytes(b"".join(torn) + end)
        assert read_progress(path) == progress_of(read_events(path))


def test_a_full_disk_stops_no_run_and_leaves_the_later_lines_whole(
    cells: list[Cell], path: Path
) -> None:
    file, job = EventFile(path), Job(cells[0].id, cells[0])
    file.begin(cells, [job], 1)
    whole = path.read_bytes()
    path.unlink()
    path.mkdir()  # no line can be written
    file.starting("0", job, None)
    path.rmdir()
    path.write_bytes(whole + b'{"event": "starting", "sl')  # what a full disk left of it
    file.finished("0", job, outcome(cells[0]), 0.0)
    assert [event["event"] for event in read_events(path)] == ["began", "finished"]


def test_a_job_is_said_with_its_time() -> None:
    assert Doing("work", 10.0, 30.0).text(22.0) == "work, 12 s of about 30 s"
    assert Doing("work", 10.0, None).text(610.0) == "work, 10 min"
    assert Doing("work", 10.0, 9000.0).text(9.0) == "work, 0 s of about 2.5 h"
