"""What a fetch shows."""

import sys
import time

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bench.commands import downloads as fetch
from bench.core.terminal import legible
from bench.plan.labels import duration
from bench.run.console.legible_console import Terminal

_PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal


class Downloads(fetch.Watcher):
    """Shows what a fetch is about to bring, and how much of it has come."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self.live = sys.stderr.isatty()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
            console=Terminal(sys.stderr), transient=True,
        )  # fmt: skip
        self.name = ""
        self.total = self.come = 0
        self.started = self.told = 0.0

    def begin(self, wants: fetch.Wants) -> None:
        """Say how much there is, in total first."""
        missing = [want for want in wants.files if want.file.left]
        here = len(wants.files) - len(missing)
        print(f"{fetch.in_bytes(wants.left)} to come in {len(missing)} files; {here} are here")
        for want in missing:
            print(f"  {fetch.in_bytes(want.file.left):>9}  {want.key}: {want.file.name}")
        sys.stdout.flush()
        self.total, self.started = wants.left, time.monotonic()
        if self.live and missing:
            self.task = self.bar.add_task("", total=self.total)
            self.bar.start()

    def starting(self, want: fetch.Want) -> None:
        """Name the file that comes."""
        self.name = want.file.name
        if self.live:
            self.bar.update(self.task, description=legible(want.file.name))

    def arrived(self, count: int) -> None:
        """Count what came."""
        self.come += count
        now = time.monotonic()
        if self.live:
            self.bar.advance(self.task, count)
        elif now - self.told > _PLAIN_EVERY or self.come == self.total:
            self.told = now
            rate = self.come / max(now - self.started, 1e-9)
            left = duration((self.total - self.come) / max(rate, 1.0))
            done = f"{fetch.in_bytes(self.come)} of {fetch.in_bytes(self.total)}"
            print(f"{done}  {fetch.in_bytes(int(rate))}/s, {left} left  {self.name}", flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.live:
            self.bar.stop()
