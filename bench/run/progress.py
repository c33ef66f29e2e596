"""The progress of a run, computed from its events."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from bench.plan.labels import duration
from bench.results.number_format import scale_of
from bench.suite.metrics import metric_of

Event = Mapping[str, Any]  # see `bench.run.events`
T = TypeVar("T")
_RECENT = 5  # numbers that are kept
_LOST = 10  # reasons why workers died that are kept


@dataclass(frozen=True, slots=True)
class Doing:
    """A worker's job, its start in seconds since the run began, and its expected seconds."""

    what: str
    since: float
    estimate: float | None

    def text(self, at: float) -> str:
        """Describe it, `at` seconds after the run began."""
        expected = "" if self.estimate is None else f" of about {duration(self.estimate)}"
        return f"{self.what}, {duration(max(0.0, at - self.since))}{expected}"


@dataclass(frozen=True, slots=True)
class Examining:
    """The examination at the end of a run: its numbers, its limit and its start, in seconds.

    Attributes:
        what: The current check with its model and dataset; empty before the first one.
        done: Number of checks that were done.
        of: Number of checks in all; 0 if not known yet.
    """

    numbers: int
    seconds: float
    since: float
    what: str = ""
    done: int = 0
    of: int = 0

    def limits(self) -> str:
        """Describe its numbers and its limit."""
        several = "" if self.numbers == 1 else "s"
        return (
            f"examining {self.numbers} robust number{several}, for {duration(self.seconds)} at most"
        )

    def text(self, at: float) -> str:
        """Describe what it does, `at` seconds after the run began."""
        if not self.what:
            return self.limits()
        so_far = duration(max(0.0, at - self.since))
        return (
            f"examining {self.what}, {self.done} of {self.of} checks done, "
            f"{so_far} of {duration(self.seconds)} at most"
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run.

    Attributes:
        host: Host of the process that drives the run.
        pid: Id of that process.
        slots: Number of workers that may run at once.
        cells: Number of cells of the suite.
        before: Number of cells that were done before the run began.
        jobs: Number of jobs: cells, and parts of split cells.
        done: Number of jobs that have ended.
        statuses: Number of this run's cells by status: `ok`, `skip`, `failed`.
        images: Images sent forward through any model.
        where: Host, process and device of each worker that is up.
        doing: What each busy worker does.
        retries: Number of retries.
        losses: Number of workers that died.
        lost: Why the last of them died, in order.
        left: The last estimate of the seconds left, and the time `at` which it was made.
        at: Time of the last event, in seconds since the run began.
        time: Time of the last event, UTC, ISO 8601.
        recent: The last cells that have a number, each with the number, the newest last.
        examining: What the trust battery is doing, once the cells are done.
        how: How the run ended; None while it goes on.
    """

    host: str = ""
    pid: int = 0
    slots: int = 0
    cells: int = 0
    before: int = 0
    jobs: int = 0
    done: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    images: int = 0
    where: Mapping[str, str] = field(default_factory=dict)
    doing: Mapping[str, Doing] = field(default_factory=dict)
    retries: int = 0
    losses: int = 0
    lost: tuple[str, ...] = ()
    left: tuple[float, float] | None = None
    at: float = 0.0
    time: str = ""
    recent: tuple[tuple[str, str], ...] = ()
    examining: Examining | None = None
    how: str | None = None

    def rate(self, at: float) -> str:
        """Describe speed and time left, `at` seconds after the run began."""
        words = [f"{self.images / max(at, 1e-9):.0f} images/s"]
        if self.left is not None:
            seconds, then = self.left
            words.append(f"{duration(max(0.0, seconds - (at - then)))} left")
        return ", ".join(words)

    def troubles(self) -> str:
        """Describe failures, retries and lost workers; empty if there are none."""
        counts = (
            (self.statuses.get("failed", 0), "failed"),
            (self.retries, "tried again"),
            (self.losses, "lost"),
        )
        return ", ".join(f"{count} {word}" for count, word in counts if count)


def after(progress: Progress, event: Event) -> Progress:
    """Return the progress after an event."""
    if event["event"] == "so far":
        return _adapter().validate_python(event["progress"])
    changes = _changes(progress, event, at := float(event["at"]))
    return replace(progress, at=at, time=event["time"], **changes)


def _changes(now: Progress, event: Event, at: float) -> dict[str, Any]:
    """Return the new values of attributes after an event, `at` seconds after the run began."""
    slot = event.get("slot", "")
    match event["event"]:
        case "began":
            return {key: event[key] for key in ("host", "pid", "slots", "cells", "before", "jobs")}
        case "going on":  # each job is a cell that was done
            ok = now.statuses.get("ok", 0) - event["jobs"]
            return {
                "jobs": now.jobs + event["jobs"],
                "before": now.before + min(0, ok),
                "statuses": {**now.statuses, "ok": max(0, ok)},
            }
        case "opened":
            return {"where": {**now.where, slot: event["where"]}}
        case "starting":
            doing = Doing(event["what"], at, event["estimate"])
            return {"doing": {**now.doing, slot: doing}}
        case "finished":
            return {
                "doing": _without(now.doing, slot),
                # earlier versions have no parts that help
                "done": now.done + int(not event.get("helps")),
                **({} if event["left"] is None else {"left": (event["left"], at)}),
                # a cell's own result counts the images of its parts
                **(_cell_changes(now, event) if event["part"] is None else {}),
            }
        case "again":
            return {"retries": now.retries + 1, "doing": _without(now.doing, slot)}
        case "lost":
            return {
                "losses": now.losses + 1,
                "lost": (*now.lost, f"{slot}: {event['reason']}")[-_LOST:],
                "doing": _without(now.doing, slot),
                "where": _without(now.where, slot),
            }
        case "examining":
            return {"examining": Examining(event["numbers"], event["seconds"], at)}
        case "checking" if now.examining:
            what = f"{event['model']} x {event['dataset']}: {event['check']}"
            found = replace(now.examining, what=what, done=event["done"], of=event["of"])
            return {"examining": found}
        case "ended":
            return {"how": event["how"], "doing": {}, "examining": None}
        case _:
            return {}


def _cell_changes(now: Progress, event: Event) -> dict[str, Any]:
    status = event["status"]
    return {
        "statuses": {**now.statuses, status: now.statuses.get(status, 0) + 1},
        "images": now.images + event["queries"],
        "recent": (*now.recent, *_number(event))[-_RECENT:],
    }


def progress_of(events: Iterable[Event]) -> Progress | None:
    """Return the progress after all events; None if there are no events."""
    progress = None
    for event in events:
        progress = after(progress or Progress(), event)
    return progress


def so_far(progress: Progress) -> dict[str, object]:
    """Return the progress as the content of an event from which readers can begin."""
    content: dict[str, object] = _adapter().dump_python(progress, mode="json")
    return content


@cache
def _adapter() -> TypeAdapter[Progress]:
    return TypeAdapter(Progress)


def _number(event: Event) -> Iterator[tuple[str, str]]:
    """Yield the cell of an event and its number, if it has one; earlier versions told none."""
    if event.get("value") is not None:
        scale = scale_of(metric_of(event["metric"]))
        yield event["what"], f"{scale.text(event['value'])}{scale.unit and f' {scale.unit}'}"


def _without(values: Mapping[str, T], slot: str) -> dict[str, T]:
    rest = dict(values)
    rest.pop(slot, None)
    return rest
