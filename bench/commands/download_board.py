"""Progress of `fetch` on the terminal."""

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

from bench.commands.downloads import FetchWatcher, NeededFile, NeededFiles, format_bytes
from bench.core.terminal import legible
from bench.plan.labels import duration
from bench.run.console.legible_console import Terminal

_PLAIN_EVERY = 10.0  # seconds between lines if stderr is not a terminal


class DownloadBoard(FetchWatcher):
    """Shows the list of missing files, then the progress of the download.

    Attributes:
        live: Whether to show a progress bar; otherwise a line every few seconds.
        name: Name of the current file.
        total: Bytes to download in total.
        received: Bytes downloaded so far.
        started: Time at which the download began, in seconds.
        printed: Time of the last line, in seconds.
    """

    def __init__(self) -> None:
        """Create the progress bar, not yet visible."""
        self.live = sys.stderr.isatty()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
            console=Terminal(sys.stderr), transient=True,
        )  # fmt: skip
        self.name = ""
        self.total = self.received = 0
        self.started = self.printed = 0.0

    def begin(self, needed: NeededFiles) -> None:
        """Print the size of the download, then each missing file with its size."""
        missing = [each for each in needed.files if each.file.left]
        here = len(needed.files) - len(missing)
        size = format_bytes(needed.left)
        print(f"{size} to download in {len(missing)} files; {here} files are already here")
        for each in missing:
            print(f"  {format_bytes(each.file.left):>9}  {each.key}: {each.file.name}")
        sys.stdout.flush()
        self.total, self.started = needed.left, time.monotonic()
        if self.live and missing:
            self.task = self.bar.add_task("", total=self.total)
            self.bar.start()

    def file_started(self, needed: NeededFile) -> None:
        """Show the name of the file."""
        self.name = needed.file.name
        if self.live:
            self.bar.update(self.task, description=legible(needed.file.name))

    def bytes_received(self, count: int) -> None:
        """Show the progress."""
        self.received += count
        now = time.monotonic()
        if self.live:
            self.bar.advance(self.task, count)
        elif now - self.printed > _PLAIN_EVERY or self.received == self.total:
            self.printed = now
            rate = self.received / max(now - self.started, 1e-9)
            left = duration((self.total - self.received) / max(rate, 1.0))
            done = f"{format_bytes(self.received)} of {format_bytes(self.total)}"
            print(f"{done}  {format_bytes(int(rate))}/s, {left} left  {self.name}", flush=True)

    def close(self) -> None:
        """Remove the progress bar from the terminal."""
        if self.live:
            self.bar.stop()
