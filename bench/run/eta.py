"""Estimates of how long jobs take, from the jobs that are done.

The seconds of a job are its operations times one factor per property of the job: what is computed,
the radius, the model, the dataset, and some pairs of these. So an attack that was measured on one
model and a model that was measured under another attack give an estimate for both together. The
factors are those of Poisson regression with a log link, found by iterative proportional fitting.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from bench.run.jobs import Job

_PRIOR = 0.5  # mean jobs; a property that was measured for that long has half of its own factor
_SWEEPS = 5
_GROWTH = 1.2  # the factors are fitted again when so many times as many jobs are measured
_Levels = tuple[Hashable, ...]


def _levels(job: Job) -> _Levels:
    """Return the properties of a job that have a factor, coarse ones first."""
    cell = job.cell
    crafts = cell.attack is not None and (job.part is not None or job.crafts)
    label = cell.attack.label if crafts and cell.attack else ""
    mode = cell.mode if crafts else "clean" if cell.attack is None else "stored"
    model = cell.source if crafts else cell.target
    eps = cell.eps if crafts else ""
    return mode, label, model, cell.dataset, (mode, eps), (label, eps, mode), (label, mode, model)


class Eta:
    """Seconds of jobs by their properties, fitted again and again as jobs finish."""

    def __init__(self, jobs: Iterable[Job], afterwards: float = 0.0) -> None:
        """Start with all jobs and no measured time.

        Args:
            jobs: The jobs.
            afterwards: What follows the jobs, in seconds per second that they took.
        """
        self._afterwards = afterwards
        self._spent = 0.0  # seconds of measured jobs
        self._left = {job.key: job for job in jobs if job.work}
        self._seen: list[tuple[_Levels, float, float]] = []  # properties, operations, seconds
        self._rate = 0.0  # seconds per operation, over all measured jobs
        self._factors: list[dict[Hashable, float]] = []
        self._fitted = 0  # number of jobs that the factors were fitted to
        self._seconds = 0.0  # that the jobs which are left are expected to take

    def record(self, job: Job, seconds: float) -> None:
        """Add a finished job; failed jobs and jobs without work are left out."""
        if job.work:
            self._spent += seconds
            self._seen.append((_levels(job), job.work, seconds))

    def remove(self, job: Job) -> None:
        """Subtract the work of a job that has ended."""
        known = self._left.pop(job.key, None)
        if len(self._seen) > self._fitted * _GROWTH:
            self._fit()
        elif known and self._fitted:
            self._seconds -= self._expected(known)

    def estimate(self, job: Job) -> float | None:
        """Return the expected seconds of a job; None before any job was measured."""
        return self._expected(job) if self._fitted else None

    def left(self, workers: int) -> float | None:
        """Return the expected seconds until `workers` workers are done; None if unknown.

        What follows the jobs is included.
        """
        if not self._fitted:
            return None
        jobs = max(0.0, self._seconds)
        return jobs / max(1, workers) + self._afterwards * (self._spent + jobs)

    def _expected(self, job: Job) -> float:
        return self._rate * job.work * self._product(_levels(job))

    def _product(self, levels: Sequence[Hashable]) -> float:
        product = 1.0
        for factors, level in zip(self._factors, levels, strict=True):
            product *= factors.get(level, 1.0)
        return product

    def _fit(self) -> None:
        """Fit the factors to all measured jobs, from those of the last time."""
        seen = self._seen
        self._fitted = len(seen)
        self._rate = self._spent / sum(work for _, work, _ in seen)
        if not self._factors:
            self._factors = [{} for _ in seen[0][0]]
        prior = _PRIOR * self._spent / len(seen)
        fitted = [self._rate * work * self._product(levels) for levels, work, _ in seen]
        for _ in range(_SWEEPS if self._spent else 0):
            for place, factors in enumerate(self._factors):
                measured: dict[Hashable, float] = defaultdict(lambda: prior)
                expected: dict[Hashable, float] = defaultdict(lambda: prior)
                for (levels, _, seconds), now in zip(seen, fitted, strict=True):
                    level = levels[place]
                    measured[level] += seconds
                    expected[level] += now / factors.get(level, 1.0)
                new = {level: measured[level] / expected[level] for level in measured}
                change = {level: factor / factors.get(level, 1.0) for level, factor in new.items()}
                factors |= new
                fitted = [
                    now * change[levels[place]]
                    for (levels, *_), now in zip(seen, fitted, strict=True)
                ]
        self._seconds = sum(map(self._expected, self._left.values()))
