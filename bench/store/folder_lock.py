"""One run at a time in a folder of results.

<results>/<suite>/run.lock   locked by the kernel while a run goes on, and free once it is dead
<results>/<suite>/run.json   who runs, or ran until it was killed; gone after a regular end

The lock is `fcntl`'s, not filelock's: filelock opens the file for writing even to look, which
`status` must not need, and without `flock` it uses a lock that outlives a killed process.
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

from bench.core.errors import UserError
from bench.core.identifiers import relative_path_fault
from bench.store.results_folder import write_text

_PATIENCE = 1.0  # seconds; who only looks whether there is a run shares the lock for an instant


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose run it is.

    Attributes:
        host: The machine of the driving process.
        pid: That process.
        started: When the run began, in UTC as ISO 8601.
        executor: Where its cells run: `inline`, `ray`.
        logs: Folder of its events and of its workers' logs, as seen from the suite's folder.
    """

    host: str
    pid: int
    started: str
    executor: str
    logs: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.started}"


@contextmanager
def hold(folder: Path, executor: str, logs: Path) -> Iterator[Owner]:
    """Keep other runs out of a folder of results.

    Args:
        folder: The suite's folder of results; made where it is not there.
        executor: Where cells run, for whoever asks.
        logs: Folder of this run's events and logs, for whoever asks.

    Raises:
        UserError: Another run holds the folder, it cannot be written to, or its file system has
            no locks.
    """
    with _open(folder) as file:
        _take(file, folder)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        within = os.path.relpath(logs, folder)
        owner = Owner(socket.gethostname(), os.getpid(), started, executor, within)
        try:
            write_text(folder / "run.json", json.dumps(asdict(owner), indent=1))
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            yield owner
        finally:
            (folder / "run.json").unlink(missing_ok=True)


def owner(folder: Path) -> Owner | None:
    """Return whose run goes on in a folder of results; None where there is none."""
    return (_named(folder) or _UNKNOWN) if _is_held(folder) else None


def killed(folder: Path) -> Owner | None:
    """Return whose run broke off without a word; None where one goes on or the last one ended."""
    return None if _is_held(folder) else _named(folder)


_UNKNOWN = Owner("an unknown host", 0, "just now", "unknown", "")


def _open(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "run.lock").open("ab")
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder}: cannot be written to ({error.strerror})")


def _take(file: IO[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _locked(file, folder):
        if time.monotonic() > deadline:
            raise UserError(
                f"{folder}: another run goes on there: {owner(folder) or 'it has just ended'}; "
                "wait for it, stop it, or give this one another folder with --results"
            )
        time.sleep(0.05)


def _locked(file: IO[bytes], folder: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"{folder}: its file system has no locks ({error.strerror}), so that two runs could "
            "meet there unseen; give a folder on another one with --results"
        ) from error
    return True


def _is_held(folder: Path) -> bool:
    """Ask for a share of the lock, which any number of readers may have at once."""
    try:
        with (folder / "run.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # never locked, or where nothing can be
    return False


def _named(folder: Path) -> Owner | None:
    try:
        owner = Owner(**json.loads((folder / "run.json").read_text("utf-8")))
        inside = not owner.logs or relative_path_fault(owner.logs) is None
        return owner if inside else replace(owner, logs="")
    except (OSError, ValueError, TypeError, AttributeError):
        return None
