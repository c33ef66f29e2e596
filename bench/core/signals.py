"""How a run is told to stop."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPED = 130  # what a shell says of a command that Ctrl-C ended


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM raise KeyboardInterrupt, and the second end the process.

    Whoever sends SIGTERM, as cluster managers do before they kill, waits some seconds for what
    a KeyboardInterrupt does. Outside of the main thread, which alone hears signals, nothing is
    changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # the cursor, which a live board hides
            os._exit(_STOPPED)
        heard = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
