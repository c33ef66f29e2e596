"""Jobs: a worker computes a cell, or attacks a part of its images; and how often it is tried."""

from dataclasses import dataclass

from bench.plan.cells import Cell
from bench.plan.labels import describe


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work for one worker.

    Attributes:
        key: Key of the job: the id of a cell or craft, with the part's number if it has one.
        cell: The cell that is computed.
        part: Index of the part of the cell's images that is attacked and stored for the cell's
            own job; None for the cell's own job.
        needs: Keys of the jobs that must finish first.
        gpus: Fraction of an accelerator that the job uses, above 0 and at most 1.
        work: Estimated floating-point operations.
        crafts: Whether the job makes adversarial images; else it scores stored images.
        early: Whether the leaderboard gets its first numbers from the cell, so that it goes first.
        parts: Number of parts of its images that other workers can attack while it runs; 1 if none.
        helps: Whether it is such a part: the running job does without it.
    """

    key: str
    cell: Cell
    part: int | None = None
    needs: tuple[str, ...] = ()
    gpus: float = 1.0
    work: float = 1.0
    crafts: bool = False
    early: bool = False
    parts: int = 1
    helps: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a job is tried when memory ran out or its worker died, and after which pause.

    Attributes:
        tries: Number of tries in all.
        wait: Seconds before the second try.
        factor: Each later pause is this many times the one before.
    """

    tries: int = 3
    wait: float = 1.0
    factor: float = 4.0

    def pause(self, failures: int) -> float:
        """Return the pause in seconds after the given number of failures."""
        return self.wait * self.factor ** (failures - 1)


def describe_job(job: Job) -> str:
    """Return a short label of a job; parts are numbered from 1."""
    part = "" if job.part is None else f" · part {job.part + 1}"
    return f"{describe(job.cell)}{part}"
