"""Workers under Ray, on accelerators that Ray is told of and this machine need not have."""

import os
import platform
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from bench.core.errors import DiskFull, UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.evaluate.cell import Evaluator
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.run.executors import Ray, Setup
from bench.run.executors.interface import Opened, Outcome
from bench.run.executors.ray_worker import evaluator
from bench.run.jobs import Job
from bench.store.results_folder import Store
from bench.suite.load import Suite
from tests.support.ray_jobs import Unreadable, no_device, sleeper, until

CELL = Cell("c", "", "CLIP", "cifar10", None, "", None, 0)
Executors = Callable[..., Ray]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Four accelerators that are not there, and two processors."""
    before = signal.getsignal(signal.SIGTERM)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    signal.signal(signal.SIGTERM, before)
    yield
    ray.shutdown()


@pytest.fixture
def executors(cluster: None, small: Suite, tmp_path: Path) -> Iterator[Executors]:
    """Return a maker of executors, whose workers sleep if not told otherwise."""
    made = []

    def make(lock: Lock | None = None, **changes: Any) -> Ray:
        setup = Setup(small, lock or Lock(), {}, tmp_path, tmp_path, "cpu")
        made.append(Ray(setup, tmp_path / "logs", **{"make": sleeper, **changes}))
        return made[-1]

    yield make
    for executor in made:
        executor.close()
    assert ray.is_initialized()  # it was there before them


def job(key: str) -> Job:
    return Job(key, CELL, work=0.0)


def opened(executor: Ray, gpus: float = 1.0) -> str:
    slot = executor.open(gpus)
    assert slot is not None
    return slot


def news(executor: Ray, count: int) -> list[Opened | Outcome]:
    """Return the next things that happen, at least so many."""
    found: list[Opened | Outcome] = []
    given_up = time.monotonic() + 600
    while len(found) < count:
        if time.monotonic() > given_up:
            raise TimeoutError(f"nothing more came than {found}")
        found += executor.wait(5.0)
    return found


def results(executor: Ray, count: int) -> list[CellResult]:
    outcomes = [item for item in news(executor, count) if isinstance(item, Outcome)]
    assert all(item.result is not None for item in outcomes), outcomes
    return [item.result for item in outcomes if item.result is not None]


def drive(executor: Ray, jobs: list[Job], gpus: float) -> list[CellResult]:
    """Do jobs by as many workers as there is room for, from when all of them are up."""
    slots = []
    while (slot := executor.open(gpus)) is not None:
        slots.append(slot)
    assert {item.slot for item in news(executor, len(slots))} == set(slots)
    todo, found = list(jobs), []
    for slot in slots:
        executor.start(slot, todo.pop(0))
    while len(found) < len(jobs):
        for item in news(executor, 1):
            assert isinstance(item, Outcome)
            assert item.result is not None, item.lost
            found.append(item.result)
            if todo:
                executor.start(item.slot, todo.pop(0))
    return found


def test_every_job_is_done_once_and_all_workers_are_busy(executors: Executors) -> None:
    executor = executors()
    assert executor.slots == 4
    jobs = [job(f"meet 4 {number}" if number < 4 else str(number)) for number in range(24)]
    found = drive(executor, jobs, 1.0)
    assert Counter(result.cell_id for result in found) == Counter(item.key for item in jobs)
    assert executor.open(1.0) is None
    gpus = {result.provenance["pid"]: result.provenance["gpu"] for result in found}
    assert sorted(gpus.values()) == ["0", "1", "2", "3"]


def test_halves_share_accelerators(executors: Executors) -> None:
    executor = executors(workers=2)
    found = drive(executor, [job(f"meet 4 {number}") for number in range(4)], 0.5)
    assert len(found) == 4
    gpus = Counter(result.provenance["gpu"] for result in found)
    assert list(gpus.values()) == [2, 2]
    assert executor.open(0.5) is None


def test_shares_of_several_sizes_are_side_by_side(executors: Executors) -> None:
    executor = executors(workers=2)
    assert executor.slots == 2
    whole, half, other = opened(executor), opened(executor, 0.5), opened(executor, 0.5)
    assert executor.open(0.25) is None
    executor.end(whole)
    quarters = [opened(executor, 0.25) for _ in range(4)]
    assert executor.open(0.25) is None
    everyone = [half, other, *quarters]
    for slot in everyone:
        executor.start(slot, job(slot))
    assert {result.cell_id for result in results(executor, 2 * len(everyone))} == set(everyone)


def test_a_worker_is_told_where_it_is_and_keeps_a_log(executors: Executors, tmp_path: Path) -> None:
    executor = executors()
    slot = opened(executor)
    (up,) = news(executor, 1)
    executor.start(slot, job("a"))
    (result,) = results(executor, 1)
    pid = result.provenance["pid"]
    assert up == Opened(slot, f"{platform.node()} {pid} nothing")
    assert result.provenance["folder"] == str(tmp_path)
    log = (tmp_path / "logs" / f"worker-{slot}.log").read_text()
    assert "begin CLIP · cifar10 · clean\n" in log
    assert re.search(r"end CLIP · cifar10 · clean ok \d+\.\d s\n", log)


def test_a_killed_worker_is_lost_and_another_takes_its_place(
    executors: Executors, tmp_path: Path
) -> None:
    executor = executors(workers=1)
    slot = opened(executor)
    executor.start(slot, job("first"))
    pid = int(results(executor, 2)[0].provenance["pid"])
    executor.start(slot, job("hold it"))
    until((tmp_path / "hold it.begun").exists)
    assert executor.wait(0.2) == []
    os.kill(pid, signal.SIGKILL)
    (lost,) = news(executor, 1)
    assert isinstance(lost, Outcome)
    assert (lost.slot, lost.job.key, lost.result) == (slot, "hold it", None)
    assert lost.lost.startswith(f"worker {slot} on {platform.node()} died: ")
    assert lost.lost.endswith(f"see worker-{slot}.log")
    fresh = opened(executor)
    assert fresh != slot
    executor.start(fresh, job("again"))
    assert results(executor, 2)[0].cell_id == "again"


def test_a_worker_that_dies_idle_is_lost_with_its_next_job(executors: Executors) -> None:
    executor = executors(workers=1)
    slot = opened(executor)
    (up,) = news(executor, 1)
    assert isinstance(up, Opened)
    os.kill(int(up.where.split()[1]), signal.SIGKILL)
    executor.start(slot, job("a"))
    (lost,) = news(executor, 1)
    assert isinstance(lost, Outcome)
    assert "died" in lost.lost
    opened(executor)


def test_what_a_worker_raises(executors: Executors) -> None:
    executor = executors(workers=2)
    slot, other = opened(executor), opened(executor)
    executor.start(slot, job("raises"))
    lost = [item for item in news(executor, 3) if isinstance(item, Outcome)]
    assert "failed: ValueError: something else" in lost[0].lost
    executor.start(other, job("full"))
    with pytest.raises(DiskFull, match=r"^the disk is full$"):
        news(executor, 1)
    executor = executors(make=Unreadable())
    executor.start(opened(executor), job("a"))
    (item,) = news(executor, 1)
    assert isinstance(item, Outcome)
    assert "ValueError: invalid literal for int() with base 10: 'no number'" in item.lost
    executor = executors(make=no_device)
    opened(executor)
    with pytest.raises(UserError, match=r"^--device: got 'tpu'"):
        news(executor, 1)


def test_the_end_of_a_busy_worker_frees_its_share(executors: Executors) -> None:
    executor = executors(workers=1)
    slot = opened(executor)
    executor.start(slot, job("hold it"))
    news(executor, 1)
    executor.end(slot)
    fresh = opened(executor)
    executor.start(fresh, job("short"))
    found = news(executor, 2)
    assert {item.slot for item in found} == {fresh}


def test_workers_find_what_this_process_finds(
    executors: Executors, small: Suite, tmp_path: Path
) -> None:
    lock, problems = resolve(small)
    assert not problems
    cells = [cell for cell in expand(small, lock) if cell.eps != "1/255"]
    here = Evaluator(small, lock, {}, Store(tmp_path / "here", "small"), torch.device("cpu"))
    executor = executors(lock, make=evaluator, workers=1)
    found = {r.cell_id: r for r in drive(executor, [Job(c.id, c) for c in cells], 1.0)}
    for cell in cells:
        expected, result = here(cell), found[cell.id]
        assert result.status == "ok", result.reason
        assert result.sample_ids == expected.sample_ids
        assert np.array_equal(result.correct, expected.correct)
        assert np.array_equal(result.distance, expected.distance)
