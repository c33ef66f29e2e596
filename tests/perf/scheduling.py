"""What scheduling costs: cells that take no time, in this process and under Ray, and what it gains.

python -m tests.perf --only scheduling
python -m tests.perf.scheduling inline     one line: seconds, cells, and MB more in the end
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.run.events import EventFile
from bench.run.executors import Inline
from bench.run.jobs import Job
from bench.run.scheduler import run
from bench.run.split_jobs import jobs_of
from bench.run.watchers import Watcher, Watchers
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from tests.perf.peak import peak
from tests.perf.stored import LOCK, SUITE
from tests.support.stored_cells import is_finished

GPUS = 4  # that Ray is told of; there need be none
EMPTY = 2_000  # cells through Ray that take no time
SLEEPING, NAP = 200, 0.1  # cells that sleep, and for how many seconds
_WARM = 1_000  # cells after which memory is looked at first


@dataclass
class _Clock(Watcher):
    """Notes when the last worker came up, and what was done from then on.

    Attributes:
        begun: When it came up, or when the first job began.
        cells: Jobs that ended since then.
        peak: The most memory held when so many were done that all is warm, in MB.
    """

    begun: float = field(default_factory=time.perf_counter)
    cells: int = 0
    peak: float = 0.0

    def opened(self, slot: str, where: str) -> None:
        self.begun, self.cells = time.perf_counter(), 0

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        self.cells += 1
        if self.cells == _WARM:
            self.peak = peak()


def scheduling() -> Iterator[dict[str, object]]:
    """Each in a process of its own."""
    seconds, cells, more = _measured("inline")
    yield {
        "work": "nothing, in-process", "workers": 1, "cells": round(cells),
        "ms a cell": round(1000 * seconds / cells, 2), "MB more at the end": round(more, 1),
    }  # fmt: skip
    seconds, cells, more = _measured("empty", GPUS)
    yield {
        "work": "nothing, under Ray", "workers": GPUS, "cells": EMPTY,
        "ms a cell": round(1000 * seconds / cells, 2), "MB more at the end": round(more, 1),
    }  # fmt: skip
    alone = 0.0
    for workers in (1, GPUS):
        seconds, cells, _ = _measured("sleeping", workers)
        alone = alone or seconds / cells
        yield {
            "work": f"sleep of {NAP} s, under Ray", "workers": workers, "cells": SLEEPING,
            "ms a cell": round(1000 * seconds / cells, 2),
            "speed-up": round(alone * cells / seconds, 2),
            "idle": f"{1 - cells * NAP / (workers * seconds):.1%}",
        }  # fmt: skip


def _measured(*what: object) -> tuple[float, float, float]:
    call = [sys.executable, "-m", "tests.perf.scheduling", *map(str, what)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    seconds, cells, more = map(float, done.stdout.split())
    return seconds, cells, more


def in_process(folder: Path) -> tuple[float, int, float]:
    """Return seconds, cells, and MB; with what a run does before and beside, and its tables."""
    store = Store(folder, SUITE.suite)
    started = time.perf_counter()
    todo = read_results(SUITE, store, LOCK).missing()
    jobs = jobs_of(SUITE, LOCK, todo, 1, store.has_craft)
    clock = _Clock()
    told = Watchers(EventFile(store.folder / "events.jsonl"), clock)
    told.begin(todo, jobs, 1)
    run(jobs, Inline(lambda job: _nothing(job.cell), "nothing"), store, told)
    assert not read_results(SUITE, store, LOCK).missing()
    return time.perf_counter() - started, len(jobs), peak() - clock.peak


def _nothing(cell: Cell) -> CellResult:
    none = np.zeros(0)
    return CellResult(cell.id, "ok", none.astype(np.bool_), (), none.astype(np.float32), 0.0, 0, {})


def under_ray(folder: Path, count: int, nap: float, workers: int) -> tuple[float, int, float]:
    """Return seconds, cells, and MB; from when all workers are up."""
    import ray

    from bench.run.executors import Ray, Setup
    from tests.support.ray_jobs import sleeper

    ray.init(num_cpus=2, num_gpus=GPUS, include_dashboard=False, log_to_driver=False)
    store = Store(folder, SUITE.suite)
    cells = _spread(expand(SUITE, LOCK), count)
    executor = Ray(
        Setup(SUITE, Lock(), {}, folder, folder), folder / "logs", None, workers, sleeper
    )
    clock = _Clock()
    told = Watchers(EventFile(store.folder / "events.jsonl"), clock)
    run([Job(cell.id, cell, work=nap) for cell in cells], executor, store, told)
    seconds = time.perf_counter() - clock.begun
    assert all(is_finished(store, cell.id) for cell in cells)
    executor.close()
    ray.shutdown()
    return seconds, clock.cells, peak() - clock.peak


def _spread(cells: Sequence[Cell], count: int) -> list[Cell]:
    """Return so many cells of all models and datasets."""
    return list(cells[:: len(cells) // count][:count])


def main() -> None:
    """Measure one thing."""
    what, workers = sys.argv[1], int((sys.argv[2:] or ["1"])[0])
    with tempfile.TemporaryDirectory() as folder:
        match what:
            case "inline":
                print(*in_process(Path(folder)))
            case "empty":
                print(*under_ray(Path(folder), EMPTY, 0.0, workers))
            case "sleeping":
                print(*under_ray(Path(folder), SLEEPING, NAP, workers))


if __name__ == "__main__":
    main()
