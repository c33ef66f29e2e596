"""What a run shows on a terminal: a live board, or plain lines where there is no terminal."""

import sys
import time
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from bench import fetch
from bench.export import percent
from bench.plan import Cell
from bench.run import Watcher
from bench.types import CellResult

_PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal


class Progression(Watcher):
    """Shows cells done, the one running, images per second and the time left."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self.live = sys.stderr.isatty()
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[rate]}"),
            console=self.console, transient=True,
        )  # fmt: skip
        self.total = self.done = self.images = 0
        self.started = self.told = 0.0

    def begin(self, cells: list[Cell], todo: list[Cell]) -> None:
        """Say how much there is to do."""
        self.total, self.started = len(todo), time.monotonic()
        distinct = len({cell.id for cell in cells})
        self._say(f"{distinct} cells, {distinct - len(todo)} done before, {len(todo)} to compute")
        if self.live and todo:
            self.task = self.bar.add_task("", total=len(todo), rate="")
            self.bar.start()

    def starting(self, cell: Cell) -> None:
        """Name the running cell."""
        if self.live:
            self.bar.update(self.task, description=describe(cell))

    def finished(self, cell: Cell, result: CellResult) -> None:
        """Count a cell, and report a failure at once."""
        self.done += 1
        self.images += result.queries
        if result.status == "failed":
            self._say(f"failed: {describe(cell)}: {result.reason}")
        elapsed = max(time.monotonic() - self.started, 1e-9)
        left = elapsed / self.done * (self.total - self.done)
        rate = f"{self.images / elapsed:.0f} images/s, {_minutes(left)} left"
        if self.live:
            self.bar.update(self.task, completed=self.done, rate=rate)
        elif time.monotonic() - self.told > _PLAIN_EVERY or self.done == self.total:
            self.told = time.monotonic()
            print(
                f"{self.done}/{self.total}  {describe(cell)}  {rate}", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()

    def _say(self, text: str) -> None:
        if self.live:
            self.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)


class Downloads(fetch.Watcher):
    """Shows what a fetch is about to bring, and how much of it has come."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self.live = sys.stderr.isatty()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self.name = ""
        self.total = self.come = 0
        self.started = self.told = 0.0

    def begin(self, wants: fetch.Wants) -> None:
        """Say how much there is, in total first."""
        missing = [want for want in wants.files if want.left]
        here = len(wants.files) - len(missing)
        print(f"{fetch.in_bytes(wants.left)} to come in {len(missing)} files; {here} are here")
        for want in missing:
            print(f"  {fetch.in_bytes(want.left):>9}  {want.key}: {want.name}")
        sys.stdout.flush()
        self.total, self.started = wants.left, time.monotonic()
        if self.live and missing:
            self.task = self.bar.add_task("", total=self.total)
            self.bar.start()

    def starting(self, want: fetch.Want) -> None:
        """Name the file that comes."""
        self.name = want.name
        if self.live:
            self.bar.update(self.task, description=want.name)

    def arrived(self, count: int) -> None:
        """Count what came."""
        self.come += count
        now = time.monotonic()
        if self.live:
            self.bar.advance(self.task, count)
        elif now - self.told > _PLAIN_EVERY or self.come == self.total:
            self.told = now
            rate = self.come / max(now - self.started, 1e-9)
            left = _minutes((self.total - self.come) / max(rate, 1.0))
            done = f"{fetch.in_bytes(self.come)} of {fetch.in_bytes(self.total)}"
            print(f"{done}  {fetch.in_bytes(int(rate))}/s, {left} left  {self.name}", flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.live:
            self.bar.stop()


def describe(cell: Cell) -> str:
    """Return a cell in a few words."""
    if cell.attack is None or cell.threat is None:
        return f"{cell.target} · {cell.dataset} · clean"
    threat = f"from {cell.source}" if cell.threat.source else cell.threat.kind
    return f"{cell.target} · {cell.dataset} · {cell.attack.label_in_norm} {cell.eps} {threat}"


def print_leaderboard(board: pd.DataFrame, title: str) -> None:
    """Print the leaderboard, one table per threat."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for (threat, source), rows in board.groupby(["threat", "source"], sort=False):
        name = f"{threat} from {source}" if source else threat or "clean"
        table = Table(title=f"{title}: {name}", title_justify="left", caption_justify="left")
        shown = [c for c in rows.columns if c not in ("threat", "source", "datasets")]
        for column in shown:
            text = column in ("model", "flags")
            table.add_column(column, justify="left" if text else "right", no_wrap=text)
        for row in rows[shown].to_dict("records"):
            table.add_row(*[_cell(str(column), value) for column, value in row.items()])
        console.print(table)


def _cell(column: str, value: Any) -> str:
    if column in ("clean", "worst") or "@" in column:
        return percent(value)
    return "–" if pd.isna(value) else str(value).replace("[", r"\[")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
