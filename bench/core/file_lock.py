"""Locks by which processes wait for what another one makes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WAIT = 1.0  # seconds between calls while waiting


class NotLocked(OSError):
    """The system does not lock a file."""


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file, which no other process then holds; its folder is made.

    The kernel releases the lock if its process dies.

    Args:
        path: The file, which is made and stays.
        on_wait: Called every second while another process holds the lock; may raise to stop
            waiting.

    Raises:
        NotLocked: The file cannot be made or locked.
    """
    from filelock import FileLock, Timeout  # few processes need it

    lock = FileLock(path, timeout=_WAIT)
    while not lock.is_locked:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            break
        except Timeout:
            pass
        except (OSError, NotImplementedError) as error:
            raise NotLocked(*error.args) from error
        on_wait()
    try:
        yield
    finally:
        lock.release()
