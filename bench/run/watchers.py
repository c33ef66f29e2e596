"""Watchers receive the events of a run: the terminal's board, event files."""

from collections.abc import Sequence

from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.run.jobs import Job


class Watcher:
    """Receives the events of a run; this class ignores them."""

    def begin(self, cells: Sequence[Cell], jobs: Sequence[Job], slots: int) -> None:
        """All cells of the suite, what will be computed, and how many workers may run at once."""

    def going_on(self, jobs: Sequence[Job]) -> None:
        """All jobs are done, and further jobs give some cells more images."""

    def judging(self, where: str) -> None:
        """Answers will be sent to a judge: its address, and the name of the key's variable."""

    def opened(self, slot: str, where: str) -> None:
        """A worker is up: its name, and a description of its host, process and device."""

    def starting(self, slot: str, job: Job, estimate: float | None) -> None:
        """A worker begins a job; `estimate` is its expected time in seconds."""

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        """A job's result is stored; `left` is the estimated time left in seconds."""

    def again(self, slot: str, job: Job, reason: str, wait: float) -> None:
        """A job failed for a reason that may pass; it is retried after `wait` seconds."""

    def lost(self, slot: str, reason: str) -> None:
        """A worker died."""

    def examining(self, numbers: int, seconds: float) -> None:
        """All cells are done; `numbers` robust numbers are examined within `seconds` seconds."""

    def checking(self, model: str, dataset: str, check: str, done: int, of: int) -> None:
        """The examination begins a check of a model on a dataset, after `done` of `of` checks."""

    def ended(self, how: str) -> None:
        """The run has ended: `done`, `stopped`, or the error that ended it."""


class Watchers(Watcher):
    """Passes every event on to several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        """Pass events on to these watchers, in order."""
        self.watchers = watchers

    def begin(self, cells: Sequence[Cell], jobs: Sequence[Job], slots: int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.begin(cells, jobs, slots)

    def going_on(self, jobs: Sequence[Job]) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.going_on(jobs)

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

    def checking(self, model: str, dataset: str, check: str, done: int, of: int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.checking(model, dataset, check, done, of)

    def ended(self, how: str) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.ended(how)
