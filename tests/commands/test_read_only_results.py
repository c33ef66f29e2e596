"""Commands on results that may be read and not written: a sentence, what can be shown, code 2."""

import errno
import shutil
from pathlib import Path

import pytest

import run_bench
from bench.core.errors import DiskFull, NotWritable
from bench.core.types import unmeasured
from bench.store.results_folder import Store
from bench.store.writing import refusal, write_text
from tests.conftest import SMALL
from tests.support.every_command import cell_of, write_suite
from tests.support.file_system import refuse_writes
from tests.support.stored_cells import segments

ALL = ("run", "merge", "export", "check", "compare", "images", "status")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite and its results, of which the battery has examined nothing."""
    folder = tmp_path_factory.mktemp("stored")
    suite = write_suite(
        folder, suite="ro", attacks=SMALL["attacks"][:1], threats=["white-box"],
        models={name: SMALL["models"][name] for name in ("CLIP", "FARE")},
    )  # fmt: skip
    given = [str(suite), "--results", str(folder / "results"), "--device", "cpu"]
    assert run_bench.main(["run", *given, "--no-check"]) == 0
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "mine")
    return tmp_path / "mine"


def call(folder: Path, command: str) -> int:
    more = {
        "run": ["--device", "cpu", "--no-check"], "merge": [str(folder / "results" / "ro")],
        "check": ["--device", "cpu"], "compare": ["--baseline", "CLIP"],
        "images": ["--device", "cpu", "--cell", cell_of(folder, "ro", "CLIP")],
    }.get(command, [])  # fmt: skip
    return run_bench.main(
        [command, str(folder / "ro.yaml"), "--results", str(folder / "results"), *more]
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
@pytest.mark.parametrize("command", ALL)
def test_each_command_says_in_a_sentence_what_cannot_be_written(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    number: int,
) -> None:
    capsys.readouterr()
    refuse_writes(monkeypatch, folder, number)
    code = call(folder, command)
    out, err = capsys.readouterr()
    if command == "status":  # it writes nothing
        assert code == 0 and "6 ok" in out and err == ""
        return
    assert code == 2, (out, err)
    (line,) = err.splitlines()
    assert line.startswith(str(folder / "results" / "ro")) and "cannot be written to (" in line
    assert "make the folder writable, or copy the results" in line


def test_what_is_known_is_printed_before_the_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = {}
    for command in ("export", "compare"):
        call(folder, command)
        shown[command] = capsys.readouterr().out.splitlines()[:-1]  # without the written path
    refuse_writes(monkeypatch, folder, errno.EACCES)
    for command, lines in shown.items():
        call(folder, command)
        assert capsys.readouterr().out.splitlines() == lines and lines


def test_check_prints_stored_findings_and_examines_nothing_in_vain(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("findings that cannot be stored were computed")

    monkeypatch.setattr("bench.trust.examine.examine_pairs", never)
    refuse_writes(monkeypatch, folder, errno.EROFS)
    assert call(folder, "check") == 2
    assert "Read-only file system" in capsys.readouterr().err


def test_a_run_ends_where_only_its_cells_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = folder / "results" / "ro" / "cells"
    for path in segments(cells.parent):
        path.unlink()
    capsys.readouterr()
    refuse_writes(monkeypatch, cells, errno.EACCES)
    command = [str(folder / "ro.yaml"), "--results", str(folder / "results"), "--device", "cpu"]
    assert run_bench.main(["run", *command, "--no-check"]) == 2
    err = capsys.readouterr().err
    assert f"{cells}: cannot be written to (Permission denied)" in err and "Traceback" not in err


def test_every_write_of_the_store_names_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, "s")
    assert refusal(tmp_path / "file") is None and list(tmp_path.iterdir()) == []
    refuse_writes(monkeypatch, tmp_path, errno.EACCES)
    result = unmeasured("0" * 20, "failed", "why", 0.0, {})
    with pytest.raises(NotWritable, match="s/cells: cannot"):
        store.put(result)
    with pytest.raises(NotWritable, match=r"s/parts/0+: cannot"):
        store.put_part("0" * 20, "0000000", result)
    crafting = store.crafting(f"{'0' * 20}.0000000", lambda: None)
    with pytest.raises(NotWritable, match=r"crafts/\.locks: cannot"), crafting:
        pass
    assert refusal(tmp_path / "file") is not None


def test_a_full_disk_is_told_from_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_writes(monkeypatch, tmp_path, errno.ENOSPC)
    with pytest.raises(DiskFull, match="the disk is full"):
        write_text(tmp_path / "a", "")
