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
        self._seconds = 0.0  # that the work of measured kinds is expected to take
        for job in jobs:
            self._left[_kind(job)] += job.work
        self._unmeasured = sum(self._left.values())  # work of other kinds

    def record(self, job: Job, seconds: float) -> None:
        """Add a finished job; failed jobs and jobs without work are left out."""
        if not job.work:
            return
        kind = _kind(job)
        work, spent = self._seen.get(kind, (0.0, 0.0))
        self._count(kind, -1)
        self._seen[kind] = work + job.work, spent + seconds
        self._count(kind, 1)
        self._total = self._total[0] + job.work, self._total[1] + seconds

    def remove(self, job: Job) -> None:
        """Subtract the work of a job that has ended."""
        kind = _kind(job)
        self._count(kind, -1)
        self._left[kind] = max(0.0, self._left[kind] - job.work)
        self._count(kind, 1)

    def estimate(self, job: Job) -> float | None:
        """Return the expected seconds of a job; None before any job was measured."""
        rate = self._rate(_kind(job))
        return None if rate is None else job.work * rate

    def left(self, workers: int) -> float | None:
        """Return the expected seconds until `workers` workers are done; None if unknown."""
        work, spent = self._total
        if not work:
            return None
        seconds = self._seconds + self._unmeasured * spent / work
        return max(0.0, seconds) / max(1, workers)

    def _count(self, kind: _Kind, sign: int) -> None:
        """Add what is left of a kind to the sums, or subtract it.

        A sum over all kinds after each job would take milliseconds with a thousand kinds.
        """
        if kind in self._seen:
            work, spent = self._seen[kind]
            self._seconds += sign * self._left[kind] * spent / work
        else:
            self._unmeasured += sign * self._left[kind]

    def _rate(self, kind: _Kind) -> float | None:
        work, spent = self._seen.get(kind, self._total)
        return spent / work if work else None
