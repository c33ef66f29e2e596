"""The protocol of executors, and their reports."""

from dataclasses import dataclass
from typing import Protocol

from bench.core.types import CellResult
from bench.run.jobs import Job


class RunJob(Protocol):
    """Runs one job; an error of the cell is returned as a result with status `failed`."""

    def __call__(self, job: Job) -> CellResult:
        """Return the result of the cell, or of a part of it."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """Report that a worker is ready; `where` names its host, process and device."""

    slot: str
    where: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Report that a job has ended, or that its worker is lost.

    Attributes:
        slot: Slot of the worker.
        job: The job; None if the worker is lost while idle.
        result: Result of the job; None if the worker is lost.
        lost: Reason why the worker is lost; empty otherwise.
    """

    slot: str
    job: Job | None
    result: CellResult | None
    lost: str = ""


class Executor(Protocol):
    """Runs jobs in workers, each in a slot; a worker keeps models loaded between jobs.

    Attributes:
        slots: Number of accelerators, or of processors if there are no accelerators.
        shares: Whether several workers may share an accelerator.
    """

    slots: int
    shares: bool

    def open(self, gpus: float) -> str | None:
        """Start a worker with a share of an accelerator; return its slot, or None if none fits."""
        ...

    def start(self, slot: str, job: Job) -> None:
        """Start a job on an idle worker."""
        ...

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Return new reports as soon as there are any, or after `seconds`; None waits forever."""
        ...

    def end(self, slot: str) -> None:
        """End a worker, idle or busy, without an outcome."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...
