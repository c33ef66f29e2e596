"""Code of users that ends the process or changes its signals, and threads that it leaves behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from bench.core.errors import CellError

exit_at_once = os._exit  # also while `exit_raises` holds
GRACE = 5.0  # seconds in which threads may end after a command
# the timers of a process, with the signals that end it when they have run out
_TIMERS = {
    signal.ITIMER_REAL: signal.SIGALRM,
    signal.ITIMER_VIRTUAL: signal.SIGVTALRM,
    signal.ITIMER_PROF: signal.SIGPROF,
}


@contextmanager
def exit_raises() -> Iterator[None]:
    """Make `os._exit` and timers raise errors, so that code of a user cannot end the run.

    A forked process still ends by `os._exit`: multiprocessing calls it in its workers.
    """
    here, before = os.getpid(), os._exit

    def raising(status: int) -> NoReturn:
        if os.getpid() != here:
            exit_at_once(status)
        raise SystemExit(status)

    os._exit = raising
    try:
        with _own_signals():
            yield
    finally:
        os._exit = before


@contextmanager
def _own_signals() -> Iterator[None]:
    """Make a timer of a user's code raise an error, and undo all that the code does to signals.

    Only the main thread can set handlers; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    unset = [timer for timer in _TIMERS if not any(signal.getitimer(timer))]
    watched = (signal.SIGINT, signal.SIGTERM, *_TIMERS.values())
    before = {number: signal.getsignal(number) for number in watched}
    for timer in unset:
        if before[_TIMERS[timer]] is signal.SIG_DFL:
            signal.signal(_TIMERS[timer], _time_ran_out)
    try:
        yield
    finally:
        for timer in unset:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            if handler is not None:  # None: it was not set by Python, which cannot set it again
                signal.signal(number, handler)


def _time_ran_out(number: int, frame: FrameType | None) -> NoReturn:
    raise CellError(
        f"code of the model set a timer that ran out ({signal.Signals(number).name}), and does not "
        "handle its signal"
    )


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
