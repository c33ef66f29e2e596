"""Run a suite from its file to its tables."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.core.errors import UserError
from bench.core.locks import Lock
from bench.core.signals import stoppable
from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.plan.judge_keys import check_key, judge_lines
from bench.plan.resolve import resolve
from bench.report.export import export
from bench.run.events import EventFile
from bench.run.executors import Inline, Ray, Setup, check_cluster, on_device
from bench.run.executors.interface import Executor
from bench.run.jobs import Job
from bench.run.scheduler import run
from bench.run.split_jobs import jobs_of
from bench.run.watchers import Watcher, Watchers
from bench.store.folder_lock import lock_folder
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import Suite, load_suite
from bench.trust.end_of_run import allowance, examine_within, unexamined_line
from bench.trust.stored_findings import findings_and_todo


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did.

    Attributes:
        folder: Where the tables are.
        board: The leaderboard.
        cells: Cells in the suite.
        computed: Cells computed now; the others were done before.
        failed: Cells that failed.
        lock: What the suite's names stand for.
        unexamined: A line on the numbers that the trust battery did not get to; empty where it
            has examined all, or was not asked.
    """

    folder: Path
    board: pd.DataFrame
    cells: int
    computed: int
    failed: int
    lock: Lock
    unexamined: str = ""


_Make = Callable[[Setup], Executor]


def run_suite(
    suite: Suite | str | Path,
    *,
    results: str | Path = "results",
    device: str | None = None,
    batch: int | None = None,
    trust: bool = False,
    compiled: bool = False,
    limit: float | None = None,
    executor: Literal["inline", "ray"] = "inline",
    address: str | None = None,
    workers: int | None = None,
    check: bool = True,
    watcher: Watcher | None = None,
) -> Report:
    """Compute the cells of a suite that are not done yet, examine numbers, and write its tables.

    Args:
        suite: A suite or its file.
        results: Folder of all results.
        device: Where models run; the accelerator where there is one, else the CPU.
        batch: Images at once; changes no number beyond numerics. Found by trial where None.
        trust: Whether code that the suite names may be imported.
        compiled: Whether towers are compiled for gradients of full batches; changes no number
            beyond numerics.
        limit: Seconds that a cell may take; any number where None.
        executor: Cells run in this process, or in workers under Ray.
        address: Of a Ray cluster; one of this machine's own where None.
        workers: How many workers there are at most; as many as accelerators where None.
        check: Whether the trust battery then examines what it can in a share of their time
            (`bench.trust.end_of_run`). It does so in this process, and therefore not under Ray,
            whose driver need not have a device. A run that computes nothing examines nothing.
        watcher: Is told how it goes.

    Raises:
        UserError: The suite or the call is wrong, another run is at it, or the disk is full.
    """
    if not isinstance(suite, Suite):
        suite = load_suite(suite)
    named = [name for name, spec in suite.models.items() if spec.runs_own_code]
    if named and not trust:
        raise UserError(
            f"models.{named[0]}.kind: got {suite.models[named[0]].kind!r}, which imports code "
            "named by the suite; run with --trust to allow it"
        )
    check_key(suite, trust)
    store = Store(Path(results).absolute(), suite.suite)
    logs = store.folder / "runs" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    failures = _Failures()
    # what is wrong with the call leaves no trace
    if executor == "ray":
        make = _ray(logs, address, workers)
    else:
        make = _inline(device, compiled, address, workers)
    with stoppable(), lock_folder(store.folder, executor, logs):
        store.sweep()
        told = Watchers(EventFile(logs / "events.jsonl"), failures, watcher or Watcher())
        lock, problems = resolve(suite)
        setup = Setup(
            suite, lock, problems, store.folder.parent, Path.cwd(), device, batch, trust, compiled,
            limit,
        )  # fmt: skip
        examine = check and executor == "inline"
        stored, todo = _compute(setup, make, store, told, examine)
        board = export(stored)
        left = ""
        if check and todo:
            within = "in their share of the time" if examine else "by a run under Ray"
            left = unexamined_line(stored, within)
    cells = stored.cells
    failed = sum(1 for cell in cells if cell.id in failures.cells)
    folder = Path(results) / suite.suite
    return Report(folder, board, len(cells), len(todo), failed, lock, left)


def _compute(
    setup: Setup, make: _Make, store: Store, watcher: Watcher, examine: bool
) -> tuple[Results, list[Cell]]:
    """Compute and examine what is missing; return what is then stored, and what was missing."""
    suite, lock = setup.suite, setup.lock
    store.put_lock(lock)
    before = read_results(suite, store, lock)
    cells, todo = before.cells, before.missing()
    if not todo:
        watcher.begin(cells, [], 0)
        watcher.ended("done")
        return before, todo
    executor = make(setup)
    with ExitStack() as open_:
        open_.callback(executor.close)
        jobs = jobs_of(suite, lock, todo, executor.slots, store.has_craft)
        if not executor.shares:
            jobs = [replace(job, gpus=1.0) for job in jobs]
        watcher.begin(cells, jobs, executor.slots)
        for line in judge_lines(suite):
            watcher.judging(line)
        with _ending(watcher):
            run(jobs, executor, store, watcher, limit=setup.limit)
            open_.close()  # with the models, as the battery's own need the room
            after = before.updated(todo)
            if examine:
                _examine(setup, after, watcher)
    return after, todo


def _examine(setup: Setup, results: Results, watcher: Watcher) -> None:
    """Examine numbers in a share of the time that they took; where that is broken off, export."""
    examined, numbers = findings_and_todo(results, deep=False)
    if not numbers:
        return
    from bench.core.devices import pick_device  # brings torch
    from bench.evaluate.model_cache import ModelCache

    seconds = allowance(examined, numbers)
    device = pick_device(setup.device)
    cache = ModelCache(setup.suite, setup.lock, setup.problems, device, setup.batch, setup.trust)
    watcher.examining(len(numbers), seconds)
    try:
        examine_within(results, numbers, cache, seconds)
    except BaseException as error:
        export(results)  # the cells are done, and another run has nothing to do
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                "all cells are done; `run_bench.py check SUITE` goes on with the examination"
            ) from error
        raise


def _ray(logs: Path, address: str | None, workers: int | None) -> _Make:
    """Return what makes workers under Ray.

    Raises:
        UserError: They cannot be had here.
    """
    check_cluster(address)
    return lambda setup: Ray(setup, logs, address, workers)


def _inline(device: str | None, compiled: bool, address: str | None, workers: int | None) -> _Make:
    """Return what makes a worker of this process.

    Raises:
        UserError: It cannot be had here, or something is asked for that needs Ray.
    """
    for name, value in {"--address": address, "--workers": workers}.items():
        if value is not None:
            raise UserError(f"{name}: got {value!r}, which only --executor ray has a use for")
    from bench.core.devices import device_name, pick_device  # brings torch
    from bench.models.compiled import check_compiler

    place = pick_device(device)
    if compiled:
        check_compiler(place)
    return lambda setup: Inline(on_device(setup, place), device_name(place))


class _Failures(Watcher):
    """Notes the cells that fail."""

    def __init__(self) -> None:
        self.cells: set[str] = set()

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        if job.part is None and result.status == "failed":
            self.cells.add(job.cell.id)


@contextmanager
def _ending(watcher: Watcher) -> Iterator[None]:
    """Say how a run ended, however it does."""
    how = "done"
    try:
        yield
    except KeyboardInterrupt:
        how = "stopped"
        raise
    except BaseException as error:
        how = str(error) or type(error).__name__
        raise
    finally:
        watcher.ended(how)
