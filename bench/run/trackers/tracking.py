"""Passes a run on to trackers, so that a tracker that fails, hangs or is slow touches no run."""

import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue

import pandas as pd

from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.results.tables import Scored, cells_frame
from bench.run.jobs import Job
from bench.run.trackers.tensorboard_tracker import TensorBoard
from bench.run.trackers.tracker import Tracker, curves_of
from bench.run.trackers.trackio_tracker import Trackio
from bench.run.trackers.wandb_tracker import Wandb
from bench.run.watchers import Watcher
from bench.suite.load import Suite
from radapt.optional_packages import not_installed

TRACKERS: dict[str, Callable[[Suite, Path], Tracker]] = {
    "trackio": Trackio,
    "wandb": Wandb,
    "tensorboard": TensorBoard,
}
WAITING = 1000  # rows that wait for a tracker; further rows are dropped
GRACE = 30.0  # seconds that a tracker has after the run

Action = Callable[[Tracker], None]


class Tracking(Watcher):
    """A watcher that passes computed cells, and at the end curves and page, to trackers."""

    def __init__(self, suite: Suite, feeds: Sequence["Feed"]) -> None:
        """Follow the run of a suite."""
        self.suite, self.feeds = suite, feeds
        self.cells: dict[str, list[Cell]] = {}

    def begin(self, cells: Sequence[Cell], jobs: Sequence[Job], slots: int) -> None:
        """Open the trackers."""
        for cell in cells:  # models with equal weights share a result, and each has a row
            self.cells.setdefault(cell.id, []).append(cell)
        for feed in self.feeds:
            feed.start()

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        """Pass on the rows of a cell."""
        if job.part is None:
            action = partial(_log_rows, self.suite, self.cells[job.cell.id], result)
            for feed in self.feeds:
                feed.put(action)

    def ended(self, how: str) -> None:
        """End the trackers of a run that was stopped or that failed."""
        if how != "done":
            for feed in self.feeds:
                feed.stop()

    def publish(self, board: pd.DataFrame, page: Path) -> None:
        """Send the curves of the leaderboard and the page of a complete run, and close."""
        curves = list(curves_of(self.suite, board))

        def send(tracker: Tracker) -> None:
            for curve in curves:
                tracker.curve(curve)
            tracker.page(page)

        until = time.monotonic() + GRACE
        for feed in self.feeds:
            feed.close(send, until)


class Feed:
    """A tracker in a thread of its own, behind a queue of bounded length.

    The thread is no daemon, because some libraries wait at the end of the process for all that they
    still have to send: `bench.core.exits.end_process` ends a thread that hangs.
    """

    def __init__(self, name: str, make: Callable[[], Tracker], most: int = WAITING) -> None:
        """Prepare a tracker; `make` is called in the thread.

        Args:
            name: Name of the tracker for messages.
            make: Opens the tracker.
            most: Number of actions that may wait.
        """
        self.name, self.make = name, make
        self.waiting: Queue[Action | None] = Queue(most)
        self.dropped, self.failed = 0, False
        self.thread = threading.Thread(target=self._work, name=f"--log-to {name}")

    def start(self) -> None:
        """Start the thread, which opens the tracker."""
        self.thread.start()

    def put(self, action: Action) -> None:
        """Queue an action; if the tracker is too far behind, the action is dropped."""
        if self.failed:
            return
        try:
            self.waiting.put_nowait(action)
        except Full:
            self.dropped += 1

    def stop(self) -> None:
        """Let the thread end after the actions that wait; return without waiting for it.

        If the queue is full, discard the actions that wait, so that the thread ends soon.
        """
        try:
            self.waiting.put_nowait(None)
        except Full:
            self._discard()
            self.waiting.put_nowait(None)  # only this thread puts

    def close(self, last: Action, until: float) -> None:
        """Queue a last action, wait until the tracker is done, and say what was not sent.

        Args:
            last: The last action.
            until: When to give up, in seconds of `time.monotonic`.
        """
        with suppress(Full):
            self.waiting.put(last, timeout=max(0.0, until - time.monotonic()))
        self.stop()
        self.thread.join(max(0.0, until - time.monotonic()))
        if self.failed:
            return
        if self.dropped:
            self._say(f"too slow; {self.dropped} rows were not sent")
        if self.thread.is_alive():
            self._say(f"still busy {GRACE:.0f} s after the run; what it has not sent is lost")

    def _work(self) -> None:
        try:
            tracker = self.make()
            while (action := self.waiting.get()) is not None:
                action(tracker)
            tracker.close()
        except BaseException as error:  # a library may also try to end the process
            self.failed = True
            reason = str(error) or type(error).__name__
            self._say(f"{reason}; nothing more is logged there, the run goes on")
            self._discard()  # so that `close` does not wait for room

    def _discard(self) -> None:
        with suppress(Empty):
            while True:
                self.waiting.get_nowait()

    def _say(self, text: str) -> None:
        with suppress(OSError):  # the reader of a pipe has ended, or the log's disk is full
            print(f"--log-to {self.name}: {text}", file=sys.stderr, flush=True)


def track(names: Sequence[str], suite: Suite, folder: Path) -> Tracking:
    """Return a watcher for the trackers of these names.

    Args:
        names: Names of trackers.
        suite: The suite of the run.
        folder: Folder of the suite's results.

    Raises:
        UserError: A tracker is not installed.
    """
    distinct = list(dict.fromkeys(names))
    for name in distinct:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"--log-to {name}: {not_installed(name)}")
    return Tracking(
        suite, [Feed(name, partial(TRACKERS[name], suite, folder)) for name in distinct]
    )


def _log_rows(suite: Suite, cells: Sequence[Cell], result: CellResult, tracker: Tracker) -> None:
    frame = cells_frame(suite, [Scored(cell, result) for cell in cells])
    for row in frame.to_dict("records"):
        tracker.row(
            {str(key): value for key, value in row.items() if pd.notna(value) and value != ""}
        )
