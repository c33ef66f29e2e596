"""How long jobs take, learnt from those that are done."""

from collections import defaultdict
from collections.abc import Iterable

from bench.run.jobs import Job

_Kind = tuple[str, str]


def _kind(job: Job) -> _Kind:
    cell = job.cell
    attack = cell.attack.label if cell.attack and (job.part is not None or job.crafts) else ""
    return attack, cell.source if attack else cell.target


class Pace:
    """Seconds per unit of estimated work, by attack and model, corrected with each job."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        """Know the work of all jobs, and the pace of none."""
        self._left: dict[_Kind, float] = defaultdict(float)
        self._seen: dict[_Kind, tuple[float, float]] = {}
        self._total = (0.0, 0.0)
        for job in jobs:
            self._left[_kind(job)] += job.work

    def note(self, job: Job, seconds: float) -> None:
        """Learn from a job that is done; what failed or was found kept already says nothing."""
        if not job.work:
            return
        kind = _kind(job)
        work, spent = self._seen.get(kind, (0.0, 0.0))
        self._seen[kind] = work + job.work, spent + seconds
        self._total = self._total[0] + job.work, self._total[1] + seconds

    def off(self, job: Job) -> None:
        """Take a job that is over off what is left."""
        self._left[_kind(job)] -= job.work

    def estimate(self, job: Job) -> float | None:
        """Return the seconds that a job should take; None before anything is known."""
        rate = self._rate(_kind(job))
        return None if rate is None else job.work * rate

    def left(self, workers: int) -> float | None:
        """Return the seconds until all is done by so many workers."""
        rates = [(work, self._rate(kind)) for kind, work in self._left.items()]
        if any(rate is None for _, rate in rates):
            return None
        return sum(max(0.0, work) * (rate or 0.0) for work, rate in rates) / max(1, workers)

    def _rate(self, kind: _Kind) -> float | None:
        work, spent = self._seen.get(kind, self._total)
        return spent / work if work else None
