"""The scheduler: it gives jobs to workers, stores each result, and retries what may recover."""

import heapq
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bench.core.errors import UserError
from bench.core.types import CellResult, unmeasured
from bench.run.eta import Eta
from bench.run.executors.interface import Executor, Opened, Outcome
from bench.run.jobs import Job, Retry
from bench.run.queue import JobQueue, group_of
from bench.run.split_jobs import WORTH, SharedJobs
from bench.run.watchers import Watcher
from bench.store.results_folder import Store

_GRACE = 60.0  # seconds past a cell's limit after which its worker counts as hung
_RETRY = Retry()
_SLOW = 2.0  # times its estimate, with `WORTH` for loading, after which a part is slow
_FAILED_STARTS = 4  # workers in a row that die while they start, after which the run gives up


def run(
    jobs: Sequence[Job],
    executor: Executor,
    store: Store,
    watcher: Watcher,
    *,
    retry: Retry = _RETRY,
    limit: float | None = None,
    afterwards: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run all jobs.

    Each result is stored before the scheduler waits for the next one. An interrupt first stores
    the results that workers have finished by then.

    Args:
        jobs: The jobs; of two jobs with equal priority the earlier one goes first.
        executor: Starts workers and hands them jobs.
        store: Where results are stored.
        watcher: Receives every event of the run.
        retry: How failures that may pass are retried.
        limit: Seconds that a cell may take; a worker that far exceeds it is ended.
        afterwards: What follows the jobs, in seconds per second that they took; for the time left.
        clock: Returns the time in seconds.

    Raises:
        StoreError: A result cannot be written, or a worker cannot read what is stored.
        UserError: The executor cannot start any worker.
    """
    queue, eta = JobQueue(jobs), Eta(jobs, afterwards)
    loop = _Loop(executor, store, watcher, retry, limit, clock, queue, eta)
    try:
        loop.run_all()
    except (KeyboardInterrupt, UserError):
        loop.store_finished()
        raise
    finally:
        store.flush()


@dataclass
class _Loop:
    """The state of a run.

    Attributes:
        idle: Idle workers by their share of an accelerator, the last to become idle last.
        opening: Workers that are starting, each with its share.
        running: Busy workers, each with its job and the time when the job started, in the order of
            these times.
        shared: Which parts of running jobs were given to other workers.
        tries: How often each job has ended that is not done.
        later: Jobs that wait for their next try, as a heap: the time of that try, and the key.
        inbox: Events that came from workers and are not handled yet.
        failed_starts: Workers that died while they started, since the last good start.
    """

    executor: Executor
    store: Store
    watcher: Watcher
    retry: Retry
    limit: float | None
    clock: Callable[[], float]
    queue: JobQueue
    eta: Eta
    idle: dict[float, list[str]] = field(default_factory=lambda: defaultdict(list))
    opening: dict[str, float] = field(default_factory=dict)
    running: dict[str, tuple[Job, float]] = field(default_factory=dict)
    shared: SharedJobs = field(default_factory=SharedJobs)
    tries: Counter[str] = field(default_factory=Counter)
    later: list[tuple[float, str, Job]] = field(default_factory=list)
    inbox: deque[Opened | Outcome] = field(default_factory=deque)
    failed_starts: int = 0

    def run_all(self) -> None:
        """Run until no job is left but parts of cells that are done."""
        while self.queue.waiting or self.later or self._busy():
            self._requeue_due()
            self._assign_jobs()
            self._share_jobs()
            if not (self.running or self.later or self.opening):
                raise UserError(
                    "the executor cannot start a worker: no accelerator share or processor is free"
                )
            self.inbox.extend(self.executor.wait(self._wait_time()))
            while self.inbox:
                self._handle(self.inbox[0])
                self.inbox.popleft()
            self._end_overdue()
            self._replace_slow()
        for slot in self.running:
            self.executor.end(slot)

    def _busy(self) -> bool:
        return any(not job.helps for job, _ in self.running.values())

    def store_finished(self) -> None:
        """Store what workers have finished; an interrupt may come at any moment."""
        with suppress(UserError):  # the error that led here is raised afterwards
            self.inbox.extend(self.executor.wait(0.0))
        for item in self.inbox:
            if isinstance(item, Outcome) and item.job and item.result and item.job.part is None:
                with suppress(UserError):
                    self.store.put(item.result)

    def _requeue_due(self) -> None:
        while self.later and self.later[0][0] <= self.clock():
            *_, job = heapq.heappop(self.later)
            self.queue.put(job)

    def _assign_jobs(self) -> None:
        """Give jobs to idle workers, and start workers for the jobs that are left.

        A job is assigned only when its worker is up: on a busy cluster a start may take hours.
        """
        for gpus in self.queue.sizes():
            # the worker that became idle last may have the model of the jobs that waited for it
            idle = self.idle[gpus]
            while idle and (job := self.queue.pick(gpus, idle[-1])):
                self._assign(idle.pop(), job)
        for gpus in self.queue.sizes():
            while self.queue.ready(gpus) > sum(share == gpus for share in self.opening.values()):
                opened = self.executor.open(gpus)
                if opened is not None:
                    self.opening[opened] = gpus
                elif not self._end_other_share(gpus):
                    break

    def _assign(self, slot: str, job: Job) -> None:
        self.running[slot] = job, self.clock()
        self.watcher.starting(slot, job, self.eta.estimate(job))
        self.executor.start(slot, job)

    def _share_jobs(self) -> None:
        """Let workers that no job is left for attack parts of the jobs that may end last."""
        for gpus, idle in self.idle.items():
            while idle and (job := self.shared.next_part(self._seconds_left(gpus))):
                slot = idle.pop()
                self.queue.move(slot, group_of(job))
                self._assign(slot, job)

    def _seconds_left(self, gpus: float) -> Iterator[tuple[Job, float]]:
        """Yield running jobs that others can help, and for how many seconds each may go on.

        A job may go on for as long again as it has run. That a single part is attacked in two
        workers is worth it only if the first is slow.
        """
        now = self.clock()
        for job, since in self.running.values():
            if job.gpus == gpus and _has_parts(job):
                spent, estimate = now - since, self.eta.estimate(job) or 0.0
                if job.parts > 1 or spent > WORTH + _SLOW * estimate:
                    yield job, max(spent, estimate - spent)

    def _replace_slow(self) -> None:
        """End workers that are slower than those which did all parts of their jobs."""
        while key := self.shared.next_done():
            slow = [(slot, job) for slot, (job, _) in self.running.items() if job.key == key]
            for slot, job in slow:  # none if it waits for its next try
                self._end_running(slot, "slower than the workers that did all parts of its job")
                if job.helps:
                    self.shared.ended(job, ok=True)
                else:
                    self.queue.put(job)

    def _end_other_share(self, gpus: float) -> bool:
        """End an idle worker with another share, so that a worker with this share can start."""
        others = [slots for share, slots in self.idle.items() if slots and share != gpus]
        if others:
            self._end(others[0].pop())
        return bool(others)

    def _end(self, slot: str) -> None:
        self.executor.end(slot)
        self.queue.move(slot, None)

    def _end_running(self, slot: str, reason: str) -> None:
        del self.running[slot]
        self._end(slot)
        self.watcher.lost(slot, reason)

    def _handle(self, item: Opened | Outcome) -> None:
        """Handle an event: a worker is up, or a job or a worker ended."""
        if isinstance(item, Opened):
            self.failed_starts = 0
            self.idle[self.opening.pop(item.slot)].append(item.slot)
            self.watcher.opened(item.slot, item.where)
            return
        slot, job, result = item.slot, item.job, item.result
        if result is None:
            self._worker_died(slot, item.lost)
        if job is None:
            return
        _, since = self.running.pop(slot)
        seconds = self.clock() - since
        if result is None:
            result = _failed(job, item.lost, seconds, again=True)
        else:
            self.idle[job.gpus].append(slot)
        self.tries[job.key] += 1
        if result.again and not job.helps and self.tries[job.key] < self.retry.tries:
            pause = self.retry.pause(self.tries[job.key])
            heapq.heappush(self.later, (self.clock() + pause, job.key, job))
            self.watcher.again(slot, job, result.reason or "", pause)
            return
        self._store(slot, job, result, seconds)

    def _worker_died(self, slot: str, lost: str) -> None:
        """Record that a worker died.

        Raises:
            UserError: Several workers in a row died while they started.
        """
        self.watcher.lost(slot, lost)
        self.queue.move(slot, None)
        for slots in self.idle.values():
            if slot in slots:
                slots.remove(slot)
        self.failed_starts += self.opening.pop(slot, None) is not None
        if self.failed_starts == _FAILED_STARTS:
            raise UserError(f"{_FAILED_STARTS} workers in a row did not start; the last: {lost}")

    def _store(self, slot: str, job: Job, result: CellResult, seconds: float) -> None:
        count = self.tries.pop(job.key, 0)
        if result.status == "failed" and count > 1:
            result = replace(result, reason=f"{result.reason} (tried {count} times)")
        if job.part is None:  # workers store parts; the cell's own job redoes a failed part
            self.store.put(result)
        if result.status == "ok":
            # leaves out the worker's start and the time that others spent on the cell's parts
            self.eta.record(job, min(seconds, result.seconds))
        self.shared.forget(job)
        if job.helps:
            self.shared.ended(job, ok=result.status == "ok")
        self.eta.remove(job)
        self.queue.done(job)
        left = self.eta.left(len(self.running) + sum(map(len, self.idle.values())))
        self.watcher.finished(slot, job, result, left)

    def _wait_time(self) -> float | None:
        """Return the seconds until a retry or a time limit is due; None if none is.

        While workers are idle, it is at most the time after which a slow job may be worth sharing.
        """
        dues = [due for due, *_ in self.later[:1]]
        if any(self.idle.values()) and any(_has_parts(job) for job, _ in self.running.values()):
            dues.append(self.clock() + WORTH)
        if self.limit is not None and self.running:
            dues.append(self._oldest()[1] + self.limit + _GRACE)
        return max(0.0, min(dues) - self.clock()) if dues else None

    def _end_overdue(self) -> None:
        """End workers that are past their time limit and do not react."""
        while self.limit is not None and self.running:
            slot, since = self._oldest()
            if self.clock() < since + self.limit + _GRACE:
                return
            job, _ = self.running[slot]
            reason = f"took more than the {self.limit:g} seconds of --limit, and did not stop"
            self._end_running(slot, reason)
            self._store(slot, job, _failed(job, reason, self.limit, again=False), self.limit)

    def _oldest(self) -> tuple[str, float]:
        """Return the worker whose job began first, and when."""
        slot, (_, since) = next(iter(self.running.items()))
        return slot, since


def _has_parts(job: Job) -> bool:
    return job.parts > 1 or job.part is not None


def _failed(job: Job, reason: str, seconds: float, *, again: bool) -> CellResult:
    return unmeasured(job.cell.id, "failed", reason, seconds, {}, again=again)
