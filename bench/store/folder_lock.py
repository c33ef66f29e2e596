"""The lock of a results folder: only a single run at a time may use it.

<results>/<suite>/run.lock   locked with `flock` during a run; the kernel unlocks it if it dies
<results>/<suite>/run.json   the owner of the run; removed at a regular end, left if it was killed

This uses `fcntl` instead of filelock, because filelock opens the file for writing even to test it,
which `status` must not need, and without `flock` its lock remains after a killed process.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bench.core.errors import MALFORMED, UserError
from bench.core.identifiers import relative_path_fault
from bench.store.writing import write_text, writing

_WAIT = 1.0  # seconds to wait for the lock, since `status` holds a shared lock for an instant


@dataclass(frozen=True, slots=True)
class RunOwner:
    """The process that owns a run.

    Attributes:
        host: Host name of the main process.
        pid: Process id of the main process.
        started: Start time in UTC, ISO 8601.
        executor: Executor of its cells: `inline` or `ray`.
        logs: Folder of its events and its workers' logs, relative to the suite's folder.
    """

    host: str
    pid: int
    started: str
    executor: str
    logs: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.started}"


@contextmanager
def lock_folder(folder: Path, executor: str, logs: Path) -> Iterator[RunOwner]:
    """Lock a suite's folder of results against other runs.

    Args:
        folder: The suite's folder of results; created if it does not exist.
        executor: Executor of the run, shown by `status`.
        logs: Folder of the run's events and logs, shown by `status`.

    Raises:
        UserError: Another run has locked the folder, it is not writable, or its file system does
            not support locks.
    """
    with _open_lock_file(folder) as file:
        _acquire(file, folder)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        relative_logs = os.path.relpath(logs, folder)
        owner = RunOwner(socket.gethostname(), os.getpid(), started, executor, relative_logs)
        write_text(folder / "run.json", json.dumps(asdict(owner), indent=1))
        try:
            yield owner
        finally:
            (folder / "run.json").unlink(missing_ok=True)


def running_owner(folder: Path) -> RunOwner | None:
    """Return the owner of the current run in a results folder; None if there is no run."""
    return (_recorded_owner(folder) or _UNKNOWN_OWNER) if _is_held(folder) else None


def killed_owner(folder: Path) -> RunOwner | None:
    """Return the owner of a killed run; None if a run is active or the last run ended regularly."""
    return None if _is_held(folder) else _recorded_owner(folder)


_UNKNOWN_OWNER = RunOwner("an unknown host", 0, "just now", "unknown", "")


def _open_lock_file(folder: Path) -> IO[bytes]:
    with writing(folder / "run.lock"):
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "run.lock").open("ab")


def _acquire(file: IO[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _WAIT
    while not _try_lock(file, folder):
        if time.monotonic() > deadline:
            raise UserError(
                f"{folder}: another run uses this folder: "
                f"{running_owner(folder) or 'it has just ended'}; "
                "wait for it, stop it, or give this run another folder with --results"
            )
        time.sleep(0.05)


def _try_lock(file: IO[bytes], folder: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"{folder}: its file system has no locks ({error.strerror}), so two runs could write "
            "there at the same time; give a folder on another file system with --results"
        ) from error
    return True


def _is_held(folder: Path) -> bool:
    """Test the lock with a shared lock, which several readers may hold at the same time."""
    try:
        with (folder / "run.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # never locked, or the file system has no locks
    return False


def _recorded_owner(folder: Path) -> RunOwner | None:
    try:
        owner = RunOwner(**json.loads((folder / "run.json").read_text("utf-8")))
        inside = not owner.logs or relative_path_fault(owner.logs) is None
        return owner if inside else replace(owner, logs="")
    except MALFORMED:
        return None
