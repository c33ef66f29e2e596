"""Which job a free worker does next."""

import heapq
from collections import Counter
from collections.abc import Collection, Sequence

from bench.run.jobs import Job

Group = tuple[str, str]  # model and dataset: what is warm in a worker that has done one of these


def group_of(job: Job) -> Group:
    """Return what a job needs warm: the model that it attacks, or else scores, and the dataset."""
    cell = job.cell
    model = cell.source if job.part is not None else cell.target
    return model, cell.dataset


class Backlog:
    """Jobs that wait, by what they need warm.

    A worker goes on with its own group while that has jobs: first those that others wait for,
    then long ones. Then it goes to a group of the same model, to one that others wait for, or
    to the one with the most work, each where no other worker is at it if there is such. So long
    work comes first, and what is loaded is used.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Take all jobs; those that need others wait for them, where these are among the jobs."""
        keys = {job.key for job in jobs}
        self._jobs = {job.key: job for job in jobs}
        self._place = {job.key: place for place, job in enumerate(jobs)}
        self._needs = {job.key: {need for need in job.needs if need in keys} for job in jobs}
        self._wanted: dict[str, list[str]] = {}
        for job in jobs:
            for need in self._needs[job.key]:
                self._wanted.setdefault(need, []).append(job.key)
        self._ready: dict[float, dict[Group, list[tuple[bool, float, int, str]]]] = {}
        self._work: dict[tuple[float, Group], float] = {}
        self._count: Counter[float] = Counter()
        self.waiting = len(jobs)
        for job in jobs:
            if not self._needs[job.key]:
                self.put(job, again=False)

    def put(self, job: Job, *, again: bool = True) -> None:
        """Let a job be picked; one that was picked before waits again."""
        groups = self._ready.setdefault(job.gpus, {})
        group = group_of(job)
        entry = (job.key not in self._wanted, -job.work, self._place[job.key], job.key)
        heapq.heappush(groups.setdefault(group, []), entry)
        self._work[job.gpus, group] = self._work.get((job.gpus, group), 0.0) + job.work
        self._count[job.gpus] += 1
        self.waiting += again

    def done(self, job: Job) -> None:
        """Let those be picked that waited for this job alone."""
        for key in self._wanted.pop(job.key, ()):
            self._needs[key].discard(job.key)
            if not self._needs[key]:
                self.put(self._jobs[key], again=False)

    def sizes(self) -> list[float]:
        """Return the shares of an accelerator that jobs now ask for, the largest first."""
        return sorted((size for size, groups in self._ready.items() if groups), reverse=True)

    def ready(self, gpus: float) -> int:
        """Return how many jobs that ask for such a share may begin."""
        return self._count[gpus]

    def pick(self, gpus: float, warm: Group | None, busy: Collection[Group]) -> Job | None:
        """Take the next job for a worker with such a share; None where none may begin."""
        groups = self._ready.get(gpus)
        if not groups:
            return None
        group = warm if warm in groups else self._best(gpus, warm, busy)
        assert group is not None
        *_, key = heapq.heappop(groups[group])
        job = self._jobs[key]
        self._work[gpus, group] -= job.work
        self._count[gpus] -= 1
        if not groups[group]:
            del groups[group]
        self.waiting -= 1
        return job

    def _best(self, gpus: float, warm: Group | None, busy: Collection[Group]) -> Group:
        groups, model = self._ready[gpus], warm[0] if warm else None

        def rank(group: Group) -> tuple[bool, bool, bool, float]:
            wanted = not groups[group][0][0]
            return group not in busy, group[0] == model, wanted, self._work[gpus, group]

        return max(groups, key=rank)
