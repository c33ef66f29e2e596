"""Events of a run: plain mappings, one JSON object a line.

Each has `event`, its kind; `time`, UTC in ISO 8601; and `at`, the seconds since the run began on
a monotonic clock. Now and then an event has the progress so far, `bench.run.progress`.
"""

import json
import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic_core import from_json

from bench.core.types import CellResult
from bench.plan.cells import Cell
from bench.results.tables import Scored
from bench.run.jobs import Job, describe_job
from bench.run.progress import Event, Progress, after, progress_of, so_far
from bench.run.watchers import Watcher
from bench.store.reading import read_with_retry

_SO_FAR = "so far"
_EVERY = 10_000  # events, after which an event has the progress so far
_MARK = f'{{"event": "{_SO_FAR}"'.encode()
_TAIL = 16 << 20  # bytes at the end of a file that readers look at first


class Events(Watcher, ABC):
    """A watcher that turns each call into an event; subclasses decide what to do with it."""

    def __init__(self) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    @abstractmethod
    def tell(self, event: Event) -> None:
        """Handle an event."""

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.started

    def begin(self, cells: Sequence[Cell], jobs: Sequence[Job], slots: int) -> None:
        """A run begins: its cells, the cells that are done already, and its jobs."""
        self.started = time.monotonic()
        distinct = len({cell.id for cell in cells})
        todo = len({job.cell.id for job in jobs if job.part is None})
        self._tell(
            "began", host=socket.gethostname(), pid=os.getpid(), cells=distinct,
            before=distinct - todo, jobs=len(jobs), slots=slots,
        )  # fmt: skip

    def going_on(self, jobs: Sequence[Job]) -> None:
        """Some cells get more images."""
        self._tell("going on", jobs=len(jobs))

    def judging(self, where: str) -> None:
        """Answers will be sent to be judged."""
        self._tell("judging", where=where)

    def opened(self, slot: str, where: str) -> None:
        """A worker is up."""
        self._tell("opened", slot=slot, where=where)

    def starting(self, slot: str, job: Job, estimate: float | None) -> None:
        """A worker begins a job."""
        self._tell("starting", slot=slot, **_named(job), estimate=_rounded(estimate))

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        """A job is done, or failed for good."""
        self._tell(
            "finished", slot=slot, **_named(job), status=result.status, reason=result.reason,
            seconds=round(result.seconds, 3), queries=result.queries, left=_rounded(left),
            metric=job.cell.metric, value=_value(job, result), helps=job.helps,
        )  # fmt: skip

    def again(self, slot: str, job: Job, reason: str, wait: float) -> None:
        """A job will be tried again."""
        self._tell("again", slot=slot, **_named(job), reason=reason, wait=round(wait, 3))

    def lost(self, slot: str, reason: str) -> None:
        """A worker died."""
        self._tell("lost", slot=slot, reason=reason)

    def examining(self, numbers: int, seconds: float) -> None:
        """The cells are done, and the trust battery examines robust numbers."""
        self._tell("examining", numbers=numbers, seconds=round(seconds, 3))

    def checking(self, model: str, dataset: str, check: str, done: int, of: int) -> None:
        """The trust battery begins a check."""
        self._tell("checking", model=model, dataset=dataset, check=check, done=done, of=of)

    def ended(self, how: str) -> None:
        """The run is over."""
        self._tell("ended", how=how)

    def _tell(self, event: str, **facts: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.tell({"event": event, "time": now, "at": round(self.elapsed(), 3), **facts})


class EventFile(Events):
    """Appends each event to a file as a line of JSON, which readers can see at once.

    A full disk does not stop the run: events are dropped until there is room.
    """

    def __init__(self, path: Path) -> None:
        """Write to `path`; its folder is created with the first event."""
        super().__init__()
        self.path = path
        self.torn = False
        self.progress, self.count = Progress(), 0

    def tell(self, event: Event) -> None:
        """Append an event, and now and then the progress, so that readers can begin there."""
        self._write(event)
        self.progress, self.count = after(self.progress, event), self.count + 1
        if self.count % _EVERY == 0:
            facts = {key: event[key] for key in ("time", "at")}
            self._write({"event": _SO_FAR, **facts, "progress": so_far(self.progress)})

    def _write(self, event: Event) -> None:
        line = f"{json.dumps(event)}\n"
        try:
            self._append(f"\n{line}" if self.torn else line)
            self.torn = False
        except OSError:
            self.torn = True  # the file may hold a part of the line

    def _append(self, text: str) -> None:
        try:
            file = self.path.open("ab", buffering=0)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab", buffering=0)
        with file:
            file.write(text.encode())


def read_events(path: Path) -> Iterator[Event]:
    """Read an event file, which may be growing; incomplete lines are skipped.

    Raises:
        Unreadable: The file exists, and the system does not let it be read.
    """
    return _parsed(read_with_retry(str(path), path.read_bytes) or b"")


def read_progress(path: Path) -> Progress | None:
    """Return the progress by an event file; None if there are no events.

    It is read from the last event on that has the progress so far, so a long file takes no longer.

    Raises:
        Unreadable: The file exists, and the system does not let it be read.
    """
    return progress_of(_parsed(read_with_retry(str(path), partial(_last_part, path)) or b""))


def _last_part(path: Path) -> bytes:
    """Return the lines from the last one that has the progress so far; all lines if none has."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        content = file.read()
        mark = content.rfind(b"\n")  # a line without an end is being written
        while (mark := content.rfind(b"\n" + _MARK, 0, mark)) >= 0:
            if any(_parsed(content[mark + 1 : content.index(b"\n", mark + 1)])):
                return content[mark + 1 :]
        file.seek(0)
        return file.read()


def _parsed(content: bytes) -> Iterator[Event]:
    for line in content.splitlines():
        try:
            event = from_json(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def _named(job: Job) -> dict[str, object]:
    return {"key": job.key, "cell": job.cell.id, "part": job.part, "what": describe_job(job)}


def _value(job: Job, result: CellResult) -> float | None:
    """Return the value of a cell's metric; None for a part or a cell without samples."""
    measured = job.part is None and len(result.correct) > 0
    value = Scored(job.cell, result).value if measured else None
    return None if value is None else round(value, 6)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
