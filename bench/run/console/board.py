"""Live progress of a run on a terminal: the current job of each worker, and the total."""

import sys
from contextlib import suppress

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from bench.plan.labels import clock, duration
from bench.run.console.legible_console import Terminal, literal_text
from bench.run.events import Event, Events
from bench.run.progress import Progress, after

_PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal


class Progression(Events):
    """Shows a live board on a terminal; without a terminal, prints a line every few seconds.

    Failures, retries, lost workers and the judge's address are printed at once and stay on the
    screen. Of failures with the same reason only the first is printed; the others are counted.
    """

    def __init__(self) -> None:
        """Prepare the board without showing it."""
        super().__init__()
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
                if self.live and jobs:
                    self.board.start()
            case "finished" if not self.live:
                due = progress.at - self.last_line >= _PLAIN_EVERY
                if due or progress.done == progress.jobs:
                    self.last_line = progress.at
                    done = f"{progress.done}/{progress.jobs}"
                    self._say(f"{done}  {event['what']}  {_speed(progress, progress.at)}")
            case "examining":
                self.close()
                self._say(progress.examining)
            case "ended":
                self.close()

    def close(self) -> None:
        """Remove the board from the terminal."""
        self.board.stop()

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
    """Return the board: a line for the whole run, and a line per worker.

    A run with one worker has one line in total.

    Args:
        progress: The progress of the run.
        at: Time in seconds since the start of the run.
    """
    line = Table.grid(padding=(0, 1))
    alone = progress.slots == 1
    bar = ProgressBar(
        total=max(progress.jobs, 1), completed=progress.done, width=20 if alone else 40
    )
    count = f"{progress.done}/{progress.jobs} {clock(at)} {_speed(progress, at)}"
    doing = [doing.text(at) for doing in progress.doing.values()] if alone else []
    line.add_row(
        *(literal_text(text, no_wrap=True) for text in doing),
        bar,
        literal_text(count, no_wrap=True),
    )
    if alone:
        return line
    workers = Table.grid(padding=(0, 1))
    for slot in sorted({*progress.where, *progress.doing}, key=_slot_order):
        text = progress.doing[slot].text(at) if slot in progress.doing else "idle"
        workers.add_row(
            literal_text(slot, style="dim"), literal_text(text, no_wrap=True, overflow="ellipsis")
        )
    return Group(line, workers)


def _at_once(event: Event) -> str:
    """Return the message of an event that is printed at once; empty for other events."""
    match event["event"]:
        case "finished" if event["status"] == "failed":
            return f"failed: {event['what']}: {event['reason']}"
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
