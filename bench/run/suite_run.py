"""Run a suite from its file to its tables."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.core.errors import UserError
from bench.core.program import PROGRAM
from bench.core.resolved_names import Lock, of_run
from bench.core.signals import stoppable
from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.plan.judge_keys import check_key, judge_lines
from bench.plan.missing_files import Fault, refusal
from bench.plan.resolve import resolve
from bench.report.export import export
from bench.results.rounds import next_round
from bench.run.events import EventFile
from bench.run.executors import Inline, KeptWorkers, Ray, Setup, check_cluster, on_device
from bench.run.executors.interface import Executor
from bench.run.jobs import Job
from bench.run.live_tables import LiveTables
from bench.run.scheduler import run
from bench.run.split_jobs import jobs_of
from bench.run.watchers import Watcher, Watchers
from bench.store.folder_lock import lock_folder
from bench.store.results_folder import Store
from bench.store.set_aside import reasons
from bench.store.snapshot import Results, read_results, store_names
from bench.suite.load import Suite, load_suite
from bench.trust.end_of_run import SHARE, allowance, examine_within, unexamined_line
from bench.trust.stored_findings import findings_and_todo


@dataclass(frozen=True, slots=True)
class Report:
    """Summary of a run.

    Attributes:
        folder: Folder of the tables.
        board: The leaderboard.
        cells: Number of cells in the suite.
        computed: Number of cells computed in this run; the others were already stored.
        failed: Number of cells that failed.
        lock: The hashes that the suite's names stand for.
        unexamined: A line on numbers that the trust battery has not examined; empty if it has
            examined all, or if `check` was False.
        set_aside: The damaged files that were set aside during this run, each with its reason
            (`bench.store.set_aside`).
    """

    folder: Path
    board: pd.DataFrame
    cells: int
    computed: int
    failed: int
    lock: Lock
    unexamined: str = ""
    set_aside: tuple[tuple[str, str], ...] = ()


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
    go_on: bool = True,
    watcher: Watcher | None = None,
) -> Report:
    """Compute the missing cells of a suite, examine numbers, and write the tables.

    Args:
        suite: A suite or its file.
        results: Folder of the results of all suites.
        device: Device of the models, such as `cuda`. If None, the accelerator or else the CPU.
        batch: Images per batch; changes numbers by floating-point error at most. Found by trial if
            None.
        trust: Whether code that the suite names may be imported.
        compiled: Whether towers are compiled for gradients of full batches; changes numbers by
            floating-point error at most.
        limit: Time limit of a cell in seconds; None for no limit.
        executor: `inline` computes cells in this process, `ray` in Ray workers.
        address: Address of a Ray cluster; None starts a local cluster.
        workers: Maximum number of workers; None for the number of accelerators.
        check: Whether the trust battery examines numbers after the cells, within a fraction of
            the cells' time (`bench.trust.end_of_run`). It runs in this process, so not under Ray,
            whose driver may have no device. A run that computes nothing examines nothing.
        go_on: Whether a model or dataset that cannot be read or downloaded fails its cells alone;
            else nothing is computed.
        watcher: Receives the events of the run.

    Raises:
        UserError: The suite or an argument is wrong, another run of the suite is active, the disk
            is full, or something is missing and `go_on` is False.
    """
    if not isinstance(suite, Suite):
        suite = load_suite(suite)
    check_trust(suite, trust)
    store = Store(Path(results).absolute(), suite.suite)
    logs = store.folder / "runs" / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{os.getpid()}"
    failures = _Failures()
    # arguments are checked before anything is written to the results folder
    if executor == "ray":
        make = _ray(logs, address, workers)
    else:
        make = _inline(device, compiled, address, workers)
    with stoppable(), lock_folder(store.folder, executor, logs):
        before = dict(reasons(store.set_aside))
        store.tidy()
        resolved, problems = resolve(suite)
        if problems and not go_on:
            raise UserError(refusal([Fault(key, why, "") for key, why in problems.items()]))
        lock = of_run(resolved, logs.name)
        watchers = Watchers(EventFile(logs / "events.jsonl"), failures, watcher or Watcher())
        setup = Setup(
            suite, lock, problems, store.folder.parent, Path.cwd(), device, batch, trust, compiled,
            limit, logs,
        )  # fmt: skip
        examine = check and executor == "inline"
        stored, computed = _compute(setup, make, store, watchers, failures, examine)
        board = export(stored)
        unexamined = ""
        if check and computed:
            within = "in their share of the time" if examine else "by a run under Ray"
            unexamined = unexamined_line(stored, within)
        aside = tuple(each for each in reasons(store.set_aside) if each[0] not in before)
    cells = stored.cells
    failed = sum(1 for cell in cells if cell.id in failures.cells)
    folder = Path(results) / suite.suite
    return Report(folder, board, len(cells), computed, failed, lock, unexamined, aside)


def check_trust(suite: Suite, trust: bool) -> None:
    """Refuse a suite that names code, or a judge's key that is not listed.

    Raises:
        UserError: The suite does so, and `trust` is False.
    """
    named = [name for name, spec in suite.models.items() if spec.runs_own_code]
    if named and not trust:
        raise UserError(
            f"models.{named[0]}.kind: got {suite.models[named[0]].kind!r}, which imports code "
            "named by the suite; run with --trust to allow it"
        )
    check_key(suite, trust)


def _compute(
    setup: Setup, make: _Make, store: Store, watcher: Watcher, failures: "_Failures", examine: bool
) -> tuple[Results, int]:
    """Compute and examine missing cells; return all results, and the number of computed cells."""
    suite, lock = setup.suite, setup.lock
    store.put_lock(lock)
    before = read_results(suite, store, lock)
    store_names(before)
    cells, todo = before.cells, before.missing()
    if suite.compared:
        todo = [*(cell for cell in todo if not cell.ends), *next_round(before)]
    if not todo:
        watcher.begin(cells, [], 0)
        watcher.ended("done")
        return before, 0
    executor = KeptWorkers(make(setup))

    def jobs_for(cells: Sequence[Cell]) -> list[Job]:
        jobs = jobs_of(suite, lock, cells, executor.slots, store.has_craft)
        return jobs if executor.shares else [replace(job, gpus=1.0) for job in jobs]

    with ExitStack() as open_:
        open_.callback(executor.close)
        jobs = jobs_for(todo)
        tables = LiveTables(before)
        watcher = Watchers(watcher, tables)
        watcher.begin(cells, jobs, executor.slots)
        for line in judge_lines(suite):
            watcher.judging(line)
        with _ending(watcher):
            afterwards = SHARE if examine and suite.attacks else 0.0
            run(jobs, executor, store, watcher, limit=setup.limit, afterwards=afterwards)
            computed = {cell.id for cell in todo}
            while suite.compared and (more := next_round(tables.read(), failures.cells)):
                executor.keep()
                watcher.going_on(jobs := jobs_for(more))
                run(jobs, executor, store, watcher, limit=setup.limit, afterwards=afterwards)
                computed |= {cell.id for cell in more}
            open_.close()  # frees the memory of the models for those of the trust battery
            after = tables.read()
            if examine:
                _examine(setup, after, watcher)
    return after, len(computed)


def _examine(setup: Setup, results: Results, watcher: Watcher) -> None:
    """Run the trust battery within a fraction of the cells' time; if it is stopped, export."""
    examined, numbers = findings_and_todo(results, deep=False)
    if not numbers:
        return
    from bench.core.devices import pick_device  # brings torch
    from bench.evaluate.model_cache import ModelCache

    seconds = allowance(examined, numbers)
    device = pick_device(setup.device)
    models = ModelCache(setup.suite, setup.lock, setup.problems, device, setup.batch, setup.trust)
    watcher.examining(len(numbers), seconds)
    try:
        examine_within(results, examined, numbers, models, seconds, watcher.checking)
    except BaseException as error:
        export(results)  # all cells are done, so another run would compute nothing
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"all cells are done; `{PROGRAM} check SUITE` continues the examination"
            ) from error
        raise


def _ray(logs: Path, address: str | None, workers: int | None) -> _Make:
    """Return a function that makes the Ray executor.

    Raises:
        UserError: Ray is not installed, or no cluster answers at the address.
    """
    check_cluster(address)
    return lambda setup: Ray(setup, logs, address, workers)


def _inline(device: str | None, compiled: bool, address: str | None, workers: int | None) -> _Make:
    """Return a function that makes the executor of this process.

    Raises:
        UserError: The device or a compiler is missing, or an argument needs Ray.
    """
    for name, value in {"--address": address, "--workers": workers}.items():
        if value is not None:
            raise UserError(f"{name}: got {value!r}, which needs --executor ray")
    if device is not None or compiled:
        from bench.core.devices import pick_device  # brings torch
        from bench.models.compiled import check_compiler

        picked = pick_device(device)
        if compiled:
            check_compiler(picked)

    def make(setup: Setup) -> Executor:
        from bench.core.devices import device_name, pick_device  # a finished suite needs no torch

        picked = pick_device(device)
        return Inline(on_device(setup, picked), device_name(picked))

    return make


class _Failures(Watcher):
    """Collects the ids of cells that failed."""

    def __init__(self) -> None:
        self.cells: set[str] = set()

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        if job.part is None and result.status == "failed":
            self.cells.add(job.cell.id)


@contextmanager
def _ending(watcher: Watcher) -> Iterator[None]:
    """Report to the watcher how a run ended: `done`, `stopped`, or the error's message."""
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
