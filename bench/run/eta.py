"""Estimates of how long jobs take, from the jobs that are done.

The seconds of a job are its operations times one factor per property of the job: what is computed,
the radius, the model, the dataset, and some pairs of these. So an attack that was measured on one
model and a model that was measured under another attack give an estimate for both together. The
factors are those of Poisson regression with a log link, found by iterative proportional fitting.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.run.jobs import Job

_PRIOR = 0.5  # mean jobs; a property that was measured for that long has half of its own factor
_SWEEPS = 5
_KINDS = 7  # of properties, see `_levels`
_GROWTH = 1.2  # the factors are fitted again when so many times as many jobs are measured


def _levels(job: Job) -> tuple[Hashable, ...]:
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
        """Start with all jobs and no measured time; jobs without work take none.

        Args:
            jobs: The jobs.
            afterwards: What follows the jobs, in seconds per second that they took.
        """
        known = [job for job in jobs if job.work]
        self._afterwards = afterwards
        self._place = {job.key: place for place, job in enumerate(known)}
        self._work = np.array([job.work for job in known], np.float64)
        self._levels = _numbered(known)
        self._factors = [np.ones(numbers.max(initial=0) + 1) for numbers in self._levels]
        self._left = np.ones(len(known), np.bool_)
        self._expected = np.zeros(len(known))  # seconds, once the factors were fitted
        self._measured: list[int] = []  # places
        self._seconds: list[float] = []  # of the measured jobs
        self._spent = 0.0  # their sum
        self._fitted = 0  # number of jobs that the factors were fitted to
        self._to_come = 0.0  # seconds that the jobs which are left are expected to take

    def record(self, job: Job, seconds: float) -> None:
        """Add a finished job; failed jobs and jobs without work are left out."""
        if job.key in self._place:
            self._spent += seconds
            self._measured.append(self._place[job.key])
            self._seconds.append(seconds)

    def remove(self, job: Job) -> None:
        """Subtract the work of a job that has ended."""
        place = self._place.get(job.key)
        if place is not None:
            self._left[place] = False
            self._to_come -= float(self._expected[place])
        if len(self._measured) > self._fitted * _GROWTH:
            self._fit()

    def estimate(self, job: Job) -> float | None:
        """Return the expected seconds of a job, or of a part of a running job; None if unknown."""
        key = job.key
        while job.helps and key and key not in self._place:
            key, _, _ = key.rpartition(".")  # of the job that it helps
        place = self._place.get(key)
        if place is None or not self._fitted:
            return None
        return float(self._expected[place] / self._work[place]) * job.work

    def left(self, workers: int) -> float | None:
        """Return the expected seconds until `workers` workers are done; None if unknown.

        What follows the jobs is included.
        """
        if not self._fitted:
            return None
        jobs = max(0.0, self._to_come)
        return jobs / max(1, workers) + self._afterwards * (self._spent + jobs)

    def _fit(self) -> None:
        """Fit the factors to all measured jobs, from those of the last time."""
        measured, seconds = np.array(self._measured), np.array(self._seconds)
        rate = self._spent / self._work[measured].sum()  # seconds per operation, over all of them
        prior = _PRIOR * self._spent / len(measured)
        own = [numbers[measured] for numbers in self._levels]
        fitted = rate * self._work[measured]
        for numbers, factors in zip(own, self._factors, strict=True):
            fitted *= factors[numbers]
        for _ in range(_SWEEPS if self._spent else 0):
            for place, (numbers, old) in enumerate(zip(own, self._factors, strict=True)):
                real = np.bincount(numbers, seconds, len(old))
                without = np.bincount(numbers, fitted, len(old)) / old
                new = (prior + real) / (prior + without)
                fitted *= (new / old)[numbers]
                self._factors[place] = new
        self._fitted = len(measured)
        self._expected = rate * self._work
        for numbers, factors in zip(self._levels, self._factors, strict=True):
            self._expected *= factors[numbers]
        self._to_come = float(self._expected[self._left].sum())


def _numbered(jobs: Sequence[Job]) -> list[NDArray[np.int32]]:
    """Return for each kind of property the number of each job's property, from 0."""
    found: list[dict[Hashable, int]] = [{} for _ in range(_KINDS)]
    numbers = np.empty((_KINDS, len(jobs)), np.int32)
    for place, job in enumerate(jobs):
        for kind, level in enumerate(_levels(job)):
            numbers[kind, place] = found[kind].setdefault(level, len(found[kind]))
    return list(numbers)
