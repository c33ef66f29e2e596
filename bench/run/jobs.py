"""What a worker is handed: a cell, or the attack on a part of its images."""

from dataclasses import dataclass

from bench.plan.cells import Cell
from bench.plan.labels import describe


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work for one worker.

    Attributes:
        key: What it is called: a cell's id, or that of a cell or craft with the part's number.
        cell: The cell that it computes, or helps to.
        part: Which part of the cell's images is attacked, and kept for the cell's own job;
            None for the cell itself.
        needs: Keys of the jobs that come first.
        gpus: Share of an accelerator that it takes, above 0 and at most 1.
        work: What it takes by estimate, in operations.
        crafts: Whether it makes adversarial images, rather than scores what is there.
    """

    key: str
    cell: Cell
    part: int | None = None
    needs: tuple[str, ...] = ()
    gpus: float = 1.0
    work: float = 1.0
    crafts: bool = False


def describe_job(job: Job) -> str:
    """Return a job in a few words; parts are counted from 1."""
    part = "" if job.part is None else f" · part {job.part + 1}"
    return f"{describe(job.cell)}{part}"
