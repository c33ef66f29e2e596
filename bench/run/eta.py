"""Estimates of how long jobs take, from the jobs that are done."""

from collections import defaultdict
from collections.abc import Iterable

from bench.run.jobs import Job

_Kind = tuple[str, str]


def _kind(job: Job) -> _Kind:
    cell = job.cell
    attack = cell.attack.label if cell.attack and (job.part is not None or job.crafts) else ""
    return attack, cell.source if attack else cell.target


class Eta:
    """Seconds per operation, by attack and model, updated with each finished job."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        """Start with the work of all jobs and no measured time."""
        self._left: dict[_Kind, float] = defaultdict(float)
        self._seen: dict[_Kind, tuple[float, float]] = {}
        self._total = (0.0, 0.0)
        for job in jobs:
            self._left[_kind(job)] += job.work

    def record(self, job: Job, seconds: float) -> None:
        """Add a finished job; failed jobs and jobs without work are left out."""
        if not job.work:
            return
        kind = _kind(job)
        work, spent = self._seen.get(kind, (0.0, 0.0))
        self._seen[kind] = work + job.work, spent + seconds
        self._total = self._total[0] + job.work, self._total[1] + seconds

    def remove(self, job: Job) -> None:
        """Subtract the work of a job that has ended."""
        self._left[_kind(job)] -= job.work

    def estimate(self, job: Job) -> float | None:
        """Return the expected seconds of a job; None before any job was measured."""
        rate = self._rate(_kind(job))
        return None if rate is None else job.work * rate

    def left(self, workers: int) -> float | None:
        """Return the expected seconds until `workers` workers are done; None if unknown."""
        rates = [(work, self._rate(kind)) for kind, work in self._left.items()]
        if any(rate is None for _, rate in rates):
            return None
        return sum(max(0.0, work) * (rate or 0.0) for work, rate in rates) / max(1, workers)

    def _rate(self, kind: _Kind) -> float | None:
        work, spent = self._seen.get(kind, self._total)
        return spent / work if work else None
