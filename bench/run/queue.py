"""The queue of jobs: which job a free worker gets next."""

import heapq
from collections import Counter
from collections.abc import Collection, Sequence

from bench.run.jobs import Job

Group = tuple[str, str]  # model and dataset; a worker keeps those of its last job in memory
_Line = tuple[float, bool]  # the accelerator share that jobs ask for, and whether they are early


def group_of(job: Job) -> Group:
    """Return the model that a job attacks, or else scores, and its dataset."""
    cell = job.cell
    model = cell.source if job.part is not None else cell.target
    return model, cell.dataset


class JobQueue:
    """Waiting jobs, grouped by model and dataset.

    Early jobs go first, in the order of the suite within a group. A worker stays with the group of
    its last job while the group has jobs: first jobs that other jobs need, then long jobs. Next it
    prefers, in this order: a group that no other worker is busy with, a group of the same model, a
    group with a job that others need, and the group with the most work. So long work starts early,
    and loaded models are reused.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Add all jobs; a job waits for those of its `needs` that are among the jobs."""
        keys = {job.key for job in jobs}
        self._jobs = {job.key: job for job in jobs}
        self._place = {job.key: place for place, job in enumerate(jobs)}
        self._needs = {job.key: {need for need in job.needs if need in keys} for job in jobs}
        self._wanted: dict[str, list[str]] = {}
        for job in jobs:
            for need in self._needs[job.key]:
                self._wanted.setdefault(need, []).append(job.key)
        self._ready: dict[_Line, dict[Group, list[tuple[bool, float, int, str]]]] = {}
        self._work: dict[tuple[_Line, Group], float] = {}
        self._count: Counter[float] = Counter()
        self.waiting = len(jobs)
        for job in jobs:
            if not self._needs[job.key]:
                self.put(job, again=False)

    def put(self, job: Job, *, again: bool = True) -> None:
        """Make a job available; with `again` it was picked before and is retried."""
        line, group = (job.gpus, job.early), group_of(job)
        place = self._place[job.key]
        entry = (job.key not in self._wanted, -job.work, place, job.key)
        if job.early:
            entry = (False, 0.0, place, job.key)
        heapq.heappush(self._ready.setdefault(line, {}).setdefault(group, []), entry)
        self._work[line, group] = self._work.get((line, group), 0.0) + job.work
        self._count[job.gpus] += 1
        self.waiting += again

    def done(self, job: Job) -> None:
        """Record that a job has ended, and make the jobs available that waited only for it."""
        for key in self._wanted.pop(job.key, ()):
            self._needs[key].discard(job.key)
            if not self._needs[key]:
                self.put(self._jobs[key], again=False)

    def sizes(self) -> list[float]:
        """Return the accelerator shares that available jobs ask for, the largest first."""
        return sorted((size for size, count in self._count.items() if count), reverse=True)

    def ready(self, gpus: float) -> int:
        """Return how many available jobs ask for this share."""
        return self._count[gpus]

    def pick(self, gpus: float, last: Group | None, busy: Collection[Group]) -> Job | None:
        """Remove and return the next job for a worker with this share; None if there is none."""
        line = next((each for each in ((gpus, True), (gpus, False)) if self._ready.get(each)), None)
        if line is None:
            return None
        groups = self._ready[line]
        group = last if last in groups else self._best(line, last, busy)
        assert group is not None
        *_, key = heapq.heappop(groups[group])
        job = self._jobs[key]
        self._work[line, group] -= job.work
        self._count[gpus] -= 1
        if not groups[group]:
            del groups[group]
        self.waiting -= 1
        return job

    def _best(self, line: _Line, last: Group | None, busy: Collection[Group]) -> Group:
        groups, model = self._ready[line], last[0] if last else None

        def rank(group: Group) -> tuple[bool, bool, bool, float]:
            wanted = not groups[group][0][0]
            return group not in busy, group[0] == model, wanted, self._work[line, group]

        return max(groups, key=rank)
