"""Live progress of a run on a terminal: the total, each worker's job, and the newest numbers."""

import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.plan.labels import clock, duration
from bench.run.console.legible_console import Terminal, literal_text
from bench.run.events import Events
from bench.run.progress import Event, Progress, after

_WORKERS = 30  # that have a line each
_PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal


class Progression(Events):
    """Shows a live board on a terminal; without a terminal, prints a line every few seconds.

    Failures, retries, lost workers and the judge's address are printed at once and stay on the
    screen. Of failures with the same reason only the first is printed; the others are counted.
    """

    def __init__(self, page: Path) -> None:
        """Prepare the board without showing it; `page` is where the run writes the leaderboard."""
        super().__init__()
        self.page = page
        self.progress = Progress()
        self.console = Terminal(sys.stderr)
        self.board = Live(
            console=self.console, transient=True, refresh_per_second=4,
            get_renderable=lambda: board(self.progress, self.elapsed()),
        )  # fmt: skip
        self.live = sys.stderr.isatty()
        self.last_line = -_PLAIN_EVERY
        self.reasons: set[str] = set()

    def tell(self, event: Event) -> None:
        """Update the output after an event."""
        progress = self.progress = after(self.progress, event)
        if (text := _at_once(event)) and not self._repeats(event):
            self._say(text)
        match event["event"]:
            case "began":
                before, jobs = progress.before, progress.jobs
                todo = progress.cells - before
                parts = f", in {jobs} jobs" if jobs > todo else ""
                self._say(f"{progress.cells} cells, {before} done before, {todo} to compute{parts}")
                if jobs:
                    self._say(f"{self.page} shows the numbers as they come in")
                if self.live and jobs:
                    self.board.start()
            case "finished" if self._is_due(progress.done == progress.jobs):
                number = progress.recent[-1][1] if event["value"] is not None else event["status"]
                done = f"{progress.done}/{progress.jobs}"
                self._say(f"{done}  {event['what']}  {number}  {_speed(progress, progress.at)}")
            case "examining" if progress.examining:
                self._say(progress.examining.limits())
            case "checking" if progress.examining and self._is_due():
                self._say(progress.examining.text(progress.at))
            case "ended":
                self.close()

    def close(self) -> None:
        """Remove the board from the terminal."""
        self.board.stop()

    def _is_due(self, last: bool = False) -> bool:
        """Return whether to print a line, because there is no terminal and the last line is old."""
        due = last or self.progress.at - self.last_line >= _PLAIN_EVERY
        if due and not self.live:
            self.last_line = self.progress.at
        return due and not self.live

    def _repeats(self, event: Event) -> bool:
        """Return whether a failure has the reason of an earlier failure."""
        if event["event"] != "finished":
            return False
        known = event["reason"] in self.reasons
        self.reasons.add(event["reason"])
        return known

    def _say(self, text: str) -> None:
        with suppress(OSError):  # the reader of a pipe has ended, or the log's disk is full
            if self.live:
                self.console.print(literal_text(text))
            else:
                print(text, file=sys.stderr, flush=True)


def board(progress: Progress, at: float) -> RenderableType:
    """Return the board: the whole run, then workers with their jobs, then the newest numbers.

    In the examination there is a line for it alone.

    Args:
        progress: The progress of the run.
        at: Time in seconds since the start of the run.
    """
    if progress.examining:
        return _line(progress.examining.text(at))
    total = Table.grid(padding=(0, 1))
    count = f"{progress.done}/{progress.jobs} {clock(at)} {_speed(progress, at)}"
    bar = ProgressBar(total=max(progress.jobs, 1), completed=progress.done, width=20)
    total.add_row(bar, _line(count))
    workers = Table.grid(padding=(0, 1))
    slots = sorted({*progress.where, *progress.doing}, key=_slot_order)
    for slot in slots[:_WORKERS]:
        text = progress.doing[slot].text(at) if slot in progress.doing else "idle"
        name = [] if progress.slots == 1 else [literal_text(slot, style="dim")]
        workers.add_row(*name, _line(text))
    if (more := len(slots) - _WORKERS) > 0:
        workers.add_row("", _line(f"and {more} more workers"))
    numbers = Table.grid(padding=(0, 1))
    for what, number in progress.recent:
        numbers.add_row(literal_text(number, style="bold", justify="right"), _line(what))
    return Group(*(part for part in (total, workers, numbers) if part.row_count))


def _line(text: str) -> Text:
    return literal_text(text, no_wrap=True, overflow="ellipsis")


def _at_once(event: Event) -> str:
    """Return the message of an event that is printed at once; empty for other events."""
    match event["event"]:
        case "finished" if event["status"] == "failed" and not event["helps"]:
            return f"failed: {event['what']}: {event['reason']}"
        case "going on":
            return f"ranks are not settled: {event['jobs']} cells get more images"
        case "again":
            wait = duration(event["wait"])
            return f"retry in {wait}: {event['what']}: {event['reason']}"
        case "judging":
            return str(event["where"])
        case "lost":
            return f"lost worker {event['slot']}: {event['reason']}"
        case _:
            return ""


def _speed(progress: Progress, at: float) -> str:
    troubles = progress.troubles()
    return f"{progress.rate(at)}{', ' if troubles else ''}{troubles}"


def _slot_order(slot: str) -> tuple[int, str]:
    """Return a key that sorts slots by their numbers."""
    return (len(slot), slot)
