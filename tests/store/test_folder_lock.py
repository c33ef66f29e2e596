"""One run at a time, with real processes."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.store.folder_lock import killed_owner, lock_folder, running_owner
from tests.support.clock import Clock

_HOLD = """
import sys
from pathlib import Path
from bench.store.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1]), "inline", Path(sys.argv[1], "runs", "1")):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a folder until its standard input is closed."""
    call = [sys.executable, "-c", _HOLD, str(folder)]
    with subprocess.Popen(call, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_second_run_is_refused_and_told_who_runs(tmp_path: Path, clock: Clock) -> None:
    with holder(tmp_path) as process:
        found = running_owner(tmp_path)
        assert found is not None
        assert (found.host, found.pid) == (socket.gethostname(), process.pid)
        assert (found.executor, found.logs) == ("inline", "runs/1")
        with pytest.raises(UserError) as error, lock_folder(tmp_path, "inline", tmp_path):
            pass
        for word in (str(tmp_path), str(process.pid), socket.gethostname(), found.started):
            assert word in str(error.value)
        assert "--results" in str(error.value)
        assert running_owner(tmp_path) == found  # the refused one left all as it was
        assert killed_owner(tmp_path) is None


def test_a_run_that_ends_leaves_no_owner(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.communicate()
    assert process.returncode == 0
    assert running_owner(tmp_path) is None
    assert killed_owner(tmp_path) is None
    with lock_folder(tmp_path, "ray", tmp_path / "logs") as mine:
        assert running_owner(tmp_path) == mine
        assert mine.pid == os.getpid()


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert running_owner(tmp_path) is None
        left = killed_owner(tmp_path)
        assert left is not None
        assert left.pid == process.pid
    with lock_folder(tmp_path, "inline", tmp_path) as mine:
        assert running_owner(tmp_path) == mine
    assert killed_owner(tmp_path) is None


def test_a_run_that_raises_is_over(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path, "inline", tmp_path):
        raise ZeroDivisionError
    assert running_owner(tmp_path) is None
    assert killed_owner(tmp_path) is None


def test_who_looks_does_not_keep_a_run_out(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "run.lock").touch()
    with (tmp_path / "run.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert running_owner(tmp_path) is None
        with (
            pytest.raises(UserError, match="just ended"),
            lock_folder(tmp_path, "inline", tmp_path),
        ):
            pass  # this one looks for longer than anyone does
        assert 1.0 < clock.now < 1.1  # how long the run was patient
    with lock_folder(tmp_path, "inline", tmp_path):
        pass


def test_a_folder_without_a_run_has_none(tmp_path: Path) -> None:
    assert running_owner(tmp_path / "nowhere") is None
    assert killed_owner(tmp_path / "nowhere") is None
    for damage in ("", "[]", json.dumps({"host": "h"})):
        (tmp_path / "run.json").write_text(damage)
        assert killed_owner(tmp_path) is None
    with lock_folder(tmp_path, "inline", tmp_path):
        (tmp_path / "run.json").write_text("")
        found = running_owner(tmp_path)
        assert found is not None
        assert "unknown" in str(found)


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with (
        pytest.raises(UserError, match=r"no locks.*No locks available.*--results"),
        lock_folder(tmp_path, "inline", tmp_path),
    ):
        pass
    assert running_owner(tmp_path) is None


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(UserError, match=f"^{folder}: cannot be written to"),
            lock_folder(folder, "inline", folder),
        ):
            pass
    (tmp_path / "run.json").mkdir()
    (tmp_path / "run.json" / "full").touch()  # nothing can be put in its place
    with (
        pytest.raises(UserError, match="cannot be written to"),
        lock_folder(tmp_path, "inline", tmp_path),
    ):
        pass
    assert running_owner(tmp_path) is None
