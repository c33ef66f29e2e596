"""Who is told how a run goes: terminals and event files."""

from collections.abc import Sequence

from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.run.jobs import Job


class Watcher:
    """Is told how a run goes; this one does not care."""

    def begin(self, cells: Sequence[Cell], jobs: Sequence[Job], slots: int) -> None:
        """All cells of the suite, what will be computed, and how many workers may run at once."""

    def judging(self, where: str) -> None:
        """Answers will be sent to be judged: to which address, with whose key."""

    def opened(self, slot: str, where: str) -> None:
        """A worker is up: its name, and its host, process and device in words."""

    def starting(self, slot: str, job: Job, estimate: float | None) -> None:
        """A worker begins a job that is expected to take so many seconds."""

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        """A job's result has been kept; `left` are the seconds until all is done, by estimate."""

    def again(self, slot: str, job: Job, reason: str, wait: float) -> None:
        """A job failed for a reason that may pass, and is tried again after so many seconds."""

    def lost(self, slot: str, reason: str) -> None:
        """A worker died."""

    def examining(self, numbers: int, seconds: float) -> None:
        """All cells are done; so many robust numbers are examined for at most so many seconds."""

    def ended(self, how: str) -> None:
        """The run is over: `done`, `stopped`, or why it broke off."""


class Watchers(Watcher):
    """Tells several."""

    def __init__(self, *watchers: Watcher) -> None:
        """Tell each of these, in order."""
        self.watchers = watchers

    def begin(self, cells: Sequence[Cell], jobs: Sequence[Job], slots: int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.begin(cells, jobs, slots)

    def judging(self, where: str) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.judging(where)

    def opened(self, slot: str, where: str) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.opened(slot, where)

    def starting(self, slot: str, job: Job, estimate: float | None) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.starting(slot, job, estimate)

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.finished(slot, job, result, left)

    def again(self, slot: str, job: Job, reason: str, wait: float) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.again(slot, job, reason, wait)

    def lost(self, slot: str, reason: str) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.lost(slot, reason)

    def examining(self, numbers: int, seconds: float) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.examining(numbers, seconds)

    def ended(self, how: str) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.ended(how)
