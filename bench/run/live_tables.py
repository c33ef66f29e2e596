"""Writes the tables while a run goes on, so that its page can be read before the end."""

import time
from contextlib import suppress

from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.report.export import export
from bench.run.jobs import Job
from bench.run.watchers import Watcher
from bench.store.snapshot import Results

_FIRST = 10.0  # seconds from the beginning of a run to the first tables
_EVERY = 30.0  # seconds between tables
_SHARE = 0.02  # of the time of a run that may go to writing tables


class LiveTables(Watcher):
    """Writes all tables every half minute, or less often if that takes long.

    A file is replaced as a whole, so a reader never sees half a page. A run does not end if its
    tables cannot be written: it writes them again at its end, and that tells the reason.
    """

    def __init__(self, results: Results) -> None:
        """Begin with the results that are stored before the run."""
        self._results = results
        self._fresh: list[Cell] = []  # finished and not read
        self._due = time.monotonic() + _FIRST

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        """Write the tables if they are due; parts of cells have no number of their own."""
        if job.part is not None:
            return
        self._fresh.append(job.cell)
        if time.monotonic() >= self._due:
            self._write()

    def examining(self, numbers: int, seconds: float) -> None:
        """Write all numbers before they are examined."""
        self._write()

    def read(self) -> Results:
        """Return all results; each is read once, after its cell has finished."""
        self._results = self._results.updated(self._fresh)
        self._fresh = []
        return self._results

    def _write(self) -> None:
        started = time.monotonic()
        with suppress(UserError):  # e.g. the disk is full
            export(self.read())
        now = time.monotonic()
        self._due = now + max(_EVERY, (now - started) / _SHARE)
