"""What a run shows: what each worker does, and how far all are."""

import sys
from contextlib import suppress

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from bench.plan.labels import clock, duration
from bench.run.console.door import Terminal, words
from bench.run.events import Event, Events
from bench.run.progress import Progress, after

_PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal


class Progression(Events):
    """Shows a live board on a terminal, and now and then a line where there is none.

    What fails, is tried again or is lost is said at once, and stays on the screen; so is where
    answers are sent to be judged.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        super().__init__()
        self.progress = Progress()
        self.console = Terminal(sys.stderr)
        self.board = Live(
            console=self.console, transient=True, refresh_per_second=4,
            get_renderable=lambda: board(self.progress, self.elapsed()),
        )  # fmt: skip
        self.live = sys.stderr.isatty()
        self.told = -_PLAIN_EVERY

    def tell(self, event: Event) -> None:
        """Show what came of an event."""
        progress = self.progress = after(self.progress, event)
        if text := _at_once(event):
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
                if progress.at - self.told >= _PLAIN_EVERY or progress.done == progress.jobs:
                    self.told = progress.at
                    done = f"{progress.done}/{progress.jobs}"
                    self._say(f"{done}  {event['what']}  {_speed(progress, progress.at)}")
            case "examining":
                self.close()
                self._say(progress.examining)
            case "ended":
                self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.board.stop()

    def _say(self, text: str) -> None:
        with suppress(OSError):  # whoever reads has left, or the log's disk is full
            if self.live:
                self.console.print(words(text))
            else:
                print(text, file=sys.stderr, flush=True)


def board(progress: Progress, at: float) -> RenderableType:
    """Return the board at so many seconds into the run: a line for all, and one per worker.

    A run with one worker has one line.
    """
    line = Table.grid(padding=(0, 1))
    alone = progress.slots == 1
    bar = ProgressBar(
        total=max(progress.jobs, 1), completed=progress.done, width=20 if alone else 40
    )
    count = f"{progress.done}/{progress.jobs} {clock(at)} {_speed(progress, at)}"
    doing = [doing.text(at) for doing in progress.doing.values()] if alone else []
    line.add_row(*(words(text, no_wrap=True) for text in doing), bar, words(count, no_wrap=True))
    if alone:
        return line
    workers = Table.grid(padding=(0, 1))
    for slot in sorted({*progress.where, *progress.doing}, key=_place):
        text = progress.doing[slot].text(at) if slot in progress.doing else "idle"
        workers.add_row(words(slot, style="dim"), words(text, no_wrap=True, overflow="ellipsis"))
    return Group(line, workers)


def _at_once(event: Event) -> str:
    """Return what nobody should have to look for."""
    match event["event"]:
        case "finished" if event["status"] == "failed":
            return f"failed: {event['what']}: {event['reason']}"
        case "again":
            wait = duration(event["wait"])
            return f"tried again in {wait}: {event['what']}: {event['reason']}"
        case "judging":
            return str(event["where"])
        case "lost":
            return f"lost worker {event['slot']}: {event['reason']}"
        case _:
            return ""


def _speed(progress: Progress, at: float) -> str:
    troubles = progress.troubles()
    return f"{progress.rate(at)}{', ' if troubles else ''}{troubles}"


def _place(slot: str) -> tuple[int, str]:
    """Sort numbered workers by their numbers."""
    return (len(slot), slot)
