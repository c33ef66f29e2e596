"""Keep workers busy until all jobs are done, and keep every result as it comes."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bench.core.errors import UserError
from bench.core.types import CellResult, unmeasured
from bench.run.eta import Pace
from bench.run.executors.interface import Executor, Opened, Outcome
from bench.run.jobs import Job
from bench.run.queue import Backlog, Group, group_of
from bench.run.watchers import Watcher
from bench.store.results_folder import Store

_GRACE = 60.0  # seconds past a cell's limit after which its worker is taken for hung
_STILLBORN = 4  # workers in a row that die before they are up, after which no more are begun


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a job is tried where memory ran out or its worker died, and how soon.

    Attributes:
        tries: In all.
        wait: Seconds before the second try.
        factor: By which each further wait is longer.
    """

    tries: int = 3
    wait: float = 1.0
    factor: float = 4.0

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures."""
        return self.wait * self.factor ** (failures - 1)


def run(
    jobs: Sequence[Job],
    executor: Executor,
    store: Store,
    watcher: Watcher,
    *,
    retry: Retry = Retry(),
    limit: float | None = None,
) -> None:
    """Do jobs.

    Each cell's result is kept before the next is awaited. When it is interrupted, what workers
    have finished by then is kept too.

    Args:
        jobs: What is to be done, in the order in which equals go.
        executor: Where.
        store: Keeps the results.
        watcher: Is told of each step.
        retry: What becomes of jobs whose failure may pass.
        limit: Seconds that a cell may take; a worker far beyond it is ended.

    Raises:
        StoreError: A result cannot be written, or a worker cannot read what is stored.
    """
    loop = _Loop(executor, store, watcher, retry, limit, Backlog(jobs), Pace(jobs))
    try:
        loop.through()
    except (KeyboardInterrupt, UserError):
        loop.rescue()
        raise


@dataclass
class _Loop:
    """A run as it goes on.

    Attributes:
        idle: By worker that has nothing to do, the share of an accelerator that it has.
        coming: By worker that is not up yet, the share that it will have.
        running: By worker that is busy, its job and since when.
        warm: By worker, what it did last.
        tries: By job, how often it was over.
        later: Jobs that are tried again, and when.
        news: What has come and is not dealt with.
        stillborn: Workers that died before they were up, since one came up.
    """

    executor: Executor
    store: Store
    watcher: Watcher
    retry: Retry
    limit: float | None
    backlog: Backlog
    pace: Pace
    idle: dict[str, float] = field(default_factory=dict)
    coming: dict[str, float] = field(default_factory=dict)
    running: dict[str, tuple[Job, float]] = field(default_factory=dict)
    warm: dict[str, Group] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    later: list[tuple[float, Job]] = field(default_factory=list)
    news: deque[Opened | Outcome] = field(default_factory=deque)
    stillborn: int = 0

    def through(self) -> None:
        """Go on until nothing is left."""
        while self.backlog.waiting or self.running or self.later:
            self._wake()
            self._hand_out()
            if not (self.running or self.later or self.coming):
                raise UserError("no worker can be had: the executor has no room for one")
            self.news.extend(self.executor.wait(self._patience()))
            while self.news:
                self._take(self.news[0])
                self.news.popleft()
            self._end_overdue()

    def rescue(self) -> None:
        """Keep what workers have finished, after an interruption at any moment."""
        with suppress(UserError):  # another one is on its way
            self.news.extend(self.executor.wait(0.0))
        for item in self.news:
            if isinstance(item, Outcome) and item.job and item.result and item.job.part is None:
                with suppress(UserError):
                    self.store.put(item.result)

    def _wake(self) -> None:
        now = time.monotonic()
        for due, job in list(self.later):
            if due <= now:
                self.later.remove((due, job))
                self.backlog.put(job)

    def _hand_out(self) -> None:
        """Give jobs to workers that are up and idle, and begin workers for those that are left.

        A job is bound to no worker before that is up: on a busy cluster that may take hours.
        """
        for slot, gpus in list(self.idle.items()):
            self._give(slot, gpus)
        for gpus in self.backlog.sizes():
            while self.backlog.ready(gpus) > sum(share == gpus for share in self.coming.values()):
                opened = self.executor.open(gpus)
                if opened is not None:
                    self.coming[opened] = gpus
                elif not self._shut_another(gpus):
                    break

    def _give(self, slot: str, gpus: float) -> None:
        busy = {group_of(job) for job, _ in self.running.values()}
        job = self.backlog.pick(gpus, self.warm.get(slot), busy)
        if job is None:
            return
        del self.idle[slot]
        self.warm[slot] = group_of(job)
        self.running[slot] = job, time.monotonic()
        self.watcher.starting(slot, job, self.pace.estimate(job))
        self.executor.start(slot, job)

    def _shut_another(self, gpus: float) -> bool:
        """End an idle worker of another share, which then has room for this one."""
        other = next((slot for slot, share in self.idle.items() if share != gpus), None)
        if other is None:
            return False
        self.executor.end(other)
        del self.idle[other]
        return True

    def _take(self, item: Opened | Outcome) -> None:
        """Note that a worker is up, or keep what it did and note that it is free."""
        if isinstance(item, Opened):
            self.stillborn = 0
            self.idle[item.slot] = self.coming.pop(item.slot)
            self.watcher.opened(item.slot, item.where)
            return
        slot, job, result = item.slot, item.job, item.result
        if result is None:
            self._mourn(slot, item.lost)
        if job is None:
            return
        _, since = self.running.pop(slot)
        seconds = time.monotonic() - since
        if result is None:
            result = _failed(job, item.lost, seconds, again=True)
        else:
            self.idle[slot] = job.gpus
        self.tries[job.key] += 1
        if result.again and self.tries[job.key] < self.retry.tries:
            pause = self.retry.pause(self.tries[job.key])
            self.later.append((time.monotonic() + pause, job))
            self.watcher.again(slot, job, result.reason or "", pause)
            return
        self._keep(slot, job, result, seconds)

    def _mourn(self, slot: str, lost: str) -> None:
        """Note that a worker died, and give up where they die before they are up.

        Raises:
            UserError: Several did, one after another.
        """
        self.watcher.lost(slot, lost)
        self.idle.pop(slot, None)
        self.stillborn += self.coming.pop(slot, None) is not None
        if self.stillborn == _STILLBORN:
            raise UserError(f"{_STILLBORN} workers in a row did not start; the last: {lost}")

    def _keep(self, slot: str, job: Job, result: CellResult, seconds: float) -> None:
        if result.status == "failed" and (count := self.tries[job.key]) > 1:
            result = replace(result, reason=f"{result.reason} (tried {count} times)")
        if job.part is None:  # parts are kept by their workers; what failed is done by the cell
            self.store.put(result)
        if result.status == "ok":
            # not a worker's start, nor what others spent on a cell's parts
            self.pace.note(job, min(seconds, result.seconds))
        self.pace.off(job)
        self.backlog.done(job)
        left = self.pace.left(len(self.running) + len(self.idle))
        self.watcher.finished(slot, job, result, left)

    def _patience(self) -> float | None:
        """Return how long nothing but news from workers is waited for."""
        now = time.monotonic()
        dues = [due for due, _ in self.later]
        if self.limit is not None:
            dues += [since + self.limit + _GRACE for _, since in self.running.values()]
        return max(0.0, min(dues) - now) if dues else None

    def _end_overdue(self) -> None:
        """End workers that do not even notice that their time is up."""
        if self.limit is None:
            return
        for slot, (job, since) in list(self.running.items()):
            if time.monotonic() - since >= self.limit + _GRACE:
                self.executor.end(slot)
                del self.running[slot]
                reason = f"took more than the {self.limit:g} seconds of --limit, and did not stop"
                self.watcher.lost(slot, reason)
                self._keep(slot, job, _failed(job, reason, self.limit, again=False), self.limit)


def _failed(job: Job, reason: str, seconds: float, *, again: bool) -> CellResult:
    return unmeasured(job.cell.id, "failed", reason, seconds, {}, again=again)
