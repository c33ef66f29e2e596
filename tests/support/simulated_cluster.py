"""A cluster of GPUs on a clock of its own: an executor in which jobs take time, and some go wrong.

What happens to a job depends on its key and on how often it was tried, not on who runs it when.
"""

import heapq
import math
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np

from bench.core.types import CellResult, unmeasured
from bench.run.executors.gpu_shares import GpuShares
from bench.run.executors.interface import Opened, Outcome
from bench.run.jobs import Job
from bench.run.queue import Group, group_of

_SLOWER = 20.0  # times
_ROUNDING = 1e-6  # seconds
HAPPENS = (
    "workers that died",
    "out of memory",
    "slow jobs",
    "parts for others",  # that idle workers attacked
    "parts done twice",
)
_NONE = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Habits:
    """How long things take in a simulated cluster, in seconds, and what share of jobs goes wrong.

    Attributes:
        rate: Operations of a worker per second.
        spread: Standard deviation of the logarithm of a job's time.
        least: What each job takes beside its operations.
        start: Start of a worker, also in place of a worker that died.
        model: Loading a model.
        dataset: Loading a dataset.
        message: What the scheduler takes to handle one report of a worker.
        dies: Share of jobs that lose their worker, at any moment of theirs.
        memory: Share of jobs that run out of memory, at any moment of theirs.
        slow: Share of jobs that are stragglers: they take 20 times as long.
    """

    rate: float
    spread: float = 0.5
    least: float = 0.5
    start: float = 60.0
    model: float = 30.0
    dataset: float = 15.0
    message: float = 0.001
    dies: float = 0.01
    memory: float = 0.005
    slow: float = 0.002


@dataclass(slots=True)
class _Worker:
    """A worker: its GPU, its share of it, and the model and dataset that it has in memory."""

    gpu: int
    share: float
    group: Group = ("", "")
    doing: "_Doing | None" = None


@dataclass(slots=True)
class _Doing:
    """A job that a worker does, part by part.

    Attributes:
        begun: When it began.
        loaded: When all was loaded.
        at: When its next part begins, or the job ends if no part is left.
        end: When it ends.
        outcome: How it ends.
        each: Seconds of a part.
        todo: The parts that are left, the next first.
    """

    begun: float
    loaded: float
    at: float
    end: float
    outcome: Outcome
    each: float
    todo: deque[int]


@dataclass
class SimulatedCluster:
    """An executor of `slots` GPUs; times are seconds of GPUs, so half a GPU's second is half.

    Attributes:
        now: The clock, in seconds.
        busy: What jobs took, with what they loaded, those that went wrong as well.
        loading: What they loaded.
        first: When the first job began.
        last: When the last job ended.
        tail: When the last job began; neither a job that was tried before, nor a part of one that
            runs.
        after: Of `busy`, what was after `tail`.
        happened: How often things of `HAPPENS` did.
    """

    slots: int
    habits: Habits
    shares: bool = True
    now: float = 0.0
    busy: float = 0.0
    loading: float = 0.0
    first: float = math.inf
    last: float = 0.0
    tail: float = 0.0
    after: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._gpus = GpuShares(["a node"] * self.slots)
        self._workers: dict[str, _Worker] = {}
        self._reports: list[tuple[float, int, Opened | str]] = []  # a worker's name: its job ends
        self._count = 0  # of reports so far, so that simultaneous ones come in order
        self._tries: Counter[str] = Counter()
        self._own: dict[str, _Doing] = {}  # the own jobs of cells that run
        self._stored: dict[str, set[int]] = {}  # parts of cells

    @property
    def idle(self) -> float:
        """The share of the GPUs' time in which they neither computed nor loaded."""
        return 1 - self.busy / (self.slots * (self.last - self.first))

    @property
    def idle_before_tail(self) -> float:
        """The same until the last job began."""
        return 1 - (self.busy - self.after) / (self.slots * (self.tail - self.first))

    def open(self, gpus: float) -> str | None:
        """Start a worker."""
        if (gpu := self._gpus.find(gpus)) is None:
            return None
        self._gpus.take(gpu, gpus)
        slot = str(self._count)
        self._workers[slot] = _Worker(gpu, gpus)
        self._report(self.now + self.habits.start, Opened(slot, "here"))
        return slot

    def start(self, slot: str, job: Job) -> None:
        """Start a job; what becomes of it is reported when it ends."""
        worker, habits = self._workers[slot], self.habits
        assert worker.doing is None
        assert worker.share == job.gpus
        self.first = min(self.first, self.now)
        loading = self._load(worker, group_of(job))
        self.loading += loading * job.gpus
        self._tries[job.key] += 1
        if not job.helps and self._tries[job.key] == 1:
            self.tail, self.after = self.now, 0.0
        chance = Random(f"{job.key} {self._tries[job.key]}")
        each = job.work / job.parts / habits.rate
        each *= Random(job.cell.id).lognormvariate(0, habits.spread)
        outcome, fate = Outcome(slot, job, _ok(job)), chance.random()
        if fate < habits.dies:
            outcome = Outcome(slot, job, None, "killed")
        elif fate < habits.dies + habits.memory:
            outcome = Outcome(slot, job, _no_memory(job))
        elif fate < habits.dies + habits.memory + habits.slow:
            each *= _SLOWER
            self.happened["slow jobs"] += 1
        parts = range(job.parts) if job.part is None else [job.part]
        todo = deque(part for part in parts if part not in self._stored.get(job.cell.id, ()))
        loaded = self.now + loading
        at = loaded + habits.least
        end = at + each * len(todo)
        if outcome.result is None or outcome.result.again:
            end = loaded + (end - loaded) * chance.random()
        worker.doing = _Doing(self.now, loaded, at, end, outcome, each, todo)
        if job.part is None:
            self._own[job.cell.id] = worker.doing
        self._report(end, slot)

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Move the clock to the next report, or by `seconds` if that is sooner."""
        while self._reports:
            at, _, report = self._reports[0]
            if isinstance(report, str) and not self._ends(report, at):
                heapq.heappop(self._reports)  # it ended before, since others helped
                continue
            if seconds is not None and at > self.now + seconds:
                break
            heapq.heappop(self._reports)
            self.now = max(self.now, at) + self.habits.message
            return [report if isinstance(report, Opened) else self._ended(report, at)]
        assert seconds is not None, "nothing will ever happen"
        self.now += seconds
        return []

    def end(self, slot: str) -> None:
        """End a worker; its GPU is free at once."""
        worker = self._workers.pop(slot)
        self._gpus.take(worker.gpu, -worker.share)
        if worker.doing:
            self._stop(worker, worker.doing, self.now)

    def close(self) -> None:
        """There is nothing to end."""

    def _ends(self, slot: str, at: float) -> bool:
        """Return whether a worker's job ends then."""
        worker = self._workers.get(slot)
        return worker is not None and worker.doing is not None and worker.doing.end == at

    def _ended(self, slot: str, at: float) -> Outcome:
        """End a job, and its worker if that died."""
        worker = self._workers[slot]
        doing = worker.doing
        assert doing is not None and doing.outcome.job is not None
        outcome, job = doing.outcome, doing.outcome.job
        if not job.helps:
            self.last = max(self.last, at)
        self._stop(worker, doing, at)
        if outcome.result is None:
            self.happened["workers that died"] += 1
            self.end(slot)
            return outcome
        if outcome.result.again:
            self.happened["out of memory"] += 1
        elif job.helps:
            self.happened["parts for others"] += 1
            self._leave_out(job, at)
        elif job.part is None:
            self._stored.pop(job.cell.id, None)
        return replace(outcome, result=replace(outcome.result, seconds=at - doing.loaded))

    def _stop(self, worker: _Worker, doing: _Doing, at: float) -> None:
        """Keep the parts that a worker has done by then, and count its time."""
        job = doing.outcome.job
        assert job is not None
        worker.doing = None
        self._advance(doing, job, at)
        if job.part is None:
            del self._own[job.cell.id]
        self.busy += (at - doing.begun) * worker.share
        self.after += max(0.0, at - max(doing.begun, self.tail)) * worker.share

    def _advance(self, doing: _Doing, job: Job, now: float) -> None:
        """Store the parts that a job has done by now."""
        stored = self._stored.setdefault(job.cell.id, set())
        while doing.todo and doing.at + doing.each <= now + _ROUNDING:
            doing.at += doing.each
            self.happened["parts done twice"] += doing.todo[0] in stored
            stored.add(doing.todo.popleft())

    def _leave_out(self, part: Job, now: float) -> None:
        """Let a cell's own job leave out a part that is done, unless it has begun with it."""
        if (own := self._own.get(part.cell.id)) is None or own.outcome.job is None:
            return
        self._advance(own, own.outcome.job, now)
        if part.part in list(own.todo)[1:]:
            own.todo.remove(part.part)
            if own.outcome.result is not None and not own.outcome.result.again:
                own.end = own.at + own.each * len(own.todo)
                self._report(own.end, own.outcome.slot)

    def _load(self, worker: _Worker, group: Group) -> float:
        """Return the seconds of loading what a worker does not have in memory."""
        model, dataset = worker.group
        worker.group = group
        return (group[0] != model) * self.habits.model + (group[1] != dataset) * self.habits.dataset

    def _report(self, at: float, report: Opened | str) -> None:
        self._count += 1
        heapq.heappush(self._reports, (at, self._count, report))


class KeptInMemory:
    """Takes the place of a store: notes how often a result of each cell was put."""

    def __init__(self) -> None:
        self.puts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    def put(self, result: CellResult) -> None:
        """Note it."""
        self.puts[result.cell_id] += 1
        self.statuses[result.status] += 1

    def flush(self) -> None:
        """There is nothing to wait for."""


def _ok(job: Job) -> CellResult:
    return CellResult(job.cell.id, "ok", _NONE > 0, (), _NONE.astype(np.float32), 0.0, 0, {})


def _no_memory(job: Job) -> CellResult:
    return unmeasured(job.cell.id, "failed", "out of memory", 0.0, {}, again=True)
