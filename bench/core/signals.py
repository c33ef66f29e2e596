"""Ctrl-C and SIGTERM stop a run."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench.core.exits import exit_at_once

_STOPPED = 130  # exit code of a command that Ctrl-C ended, as shells report it


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first Ctrl-C or SIGTERM; end the process at the second.

    Cluster managers send SIGTERM and kill the process some seconds later, so the run has time to
    clean up. Only the main thread receives signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # shows the cursor, which the live board hides
            exit_at_once(_STOPPED)
        interrupted = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
