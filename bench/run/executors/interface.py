"""Where jobs run: the protocol of executors, and what they report."""

from dataclasses import dataclass
from typing import Protocol

from bench.core.types import CellResult
from bench.run.jobs import Job


class RunJob(Protocol):
    """Does one job; every failure of the cell itself comes back as a result."""

    def __call__(self, job: Job) -> CellResult:
        """Return the cell's result, or that of a part of it."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker is up; `where` has its host, process and device in words."""

    slot: str
    where: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job is over: with a result, or with the reason why its worker is lost.

    A worker may be lost while it has no job.
    """

    slot: str
    job: Job | None
    result: CellResult | None
    lost: str = ""


class Executor(Protocol):
    """Where jobs run: workers, each in a slot, that keep warm what jobs share.

    Attributes:
        slots: How many whole accelerators, or processors where there are none, it has.
        shares: Whether several workers may share an accelerator.
    """

    slots: int
    shares: bool

    def open(self, gpus: float) -> str | None:
        """Begin a worker with a share of an accelerator; None where there is no room for it."""
        ...

    def start(self, slot: str, job: Job) -> None:
        """Hand a job to an idle worker."""
        ...

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Return what has happened, as soon as something has or after so many seconds."""
        ...

    def end(self, slot: str) -> None:
        """End a worker, idle or not, without an outcome."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...
