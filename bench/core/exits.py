"""Code of users that ends the process, and threads that it leaves behind."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

exit_at_once = os._exit  # also while `exit_raises` holds
GRACE = 5.0  # seconds in which threads may end after a command


@contextmanager
def exit_raises() -> Iterator[None]:
    """Make `os._exit` raise SystemExit, so that code of a user cannot end the run.

    A forked process still ends by it: multiprocessing calls it in its workers.
    """
    here, before = os.getpid(), os._exit

    def raising(status: int) -> NoReturn:
        if os.getpid() != here:
            exit_at_once(status)
        raise SystemExit(status)

    os._exit = raising
    try:
        yield
    finally:
        os._exit = before


def end_process(code: int) -> NoReturn:
    """End this process; threads that a model has left behind are ended after `GRACE` seconds."""
    threading.Thread(target=_end_soon, args=(code,), daemon=True).start()
    sys.exit(code)  # Python waits for all threads that are not daemons


def _end_soon(code: int) -> None:
    time.sleep(GRACE)
    left = [each.name for each in threading.enumerate() if not each.daemon and each.is_alive()]
    if left:  # else Python is busy with its own end
        print(f"threads that still run are ended: {', '.join(left)}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        exit_at_once(code)
