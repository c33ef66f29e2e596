"""The protocol of executors, their reports, and workers that are kept between lists of jobs."""

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


class KeptWorkers:
    """An executor whose workers stay for the next list of jobs, with the models that they hold."""

    def __init__(self, executor: Executor) -> None:
        """Keep the workers of an executor."""
        self.slots, self.shares = executor.slots, executor.shares
        self._executor = executor
        self._gpus: dict[str, float] = {}
        self._where: dict[str, str] = {}
        self._kept: list[str] = []  # unknown to the scheduler of the current jobs
        self._reports: list[Opened | Outcome] = []

    def keep(self) -> None:
        """Keep all workers, which are idle or starting, for the next list of jobs."""
        self._kept = list(self._gpus)

    def open(self, gpus: float) -> str | None:
        """Return a kept worker with this share, or start one as `Executor.open` does."""
        for slot in self._kept:
            if self._gpus[slot] == gpus:
                self._kept.remove(slot)
                if slot in self._where:
                    self._reports.append(Opened(slot, self._where[slot]))
                return slot
        opened = self._executor.open(gpus)
        while opened is None and self._kept:
            self.end(self._kept[0])  # it has another share
            opened = self._executor.open(gpus)
        if opened is not None:
            self._gpus[opened] = gpus
        return opened

    def start(self, slot: str, job: Job) -> None:
        """Start a job on an idle worker."""
        self._executor.start(slot, job)

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Return new reports on the workers that are not kept."""
        found, self._reports = self._reports, []
        for item in self._executor.wait(0.0 if found else seconds):
            if item.slot not in self._kept:
                found.append(item)
            if isinstance(item, Opened):
                self._where[item.slot] = item.where
            elif item.result is None:
                self._forget(item.slot)
        return found

    def end(self, slot: str) -> None:
        """End a worker."""
        self._executor.end(slot)
        self._forget(slot)

    def close(self) -> None:
        """End all workers at once."""
        self._executor.close()

    def _forget(self, slot: str) -> None:
        del self._gpus[slot]
        self._where.pop(slot, None)
        if slot in self._kept:
            self._kept.remove(slot)
