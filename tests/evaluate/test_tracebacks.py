"""An error in a user's code keeps its traceback in the run's folder, named in the row's reason."""

import errno
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from bench.core.errors import CellError
from bench.evaluate.tracebacks import reason
from bench.run.suite_run import run_suite
from tests.support.every_command import write_suite
from tests.support.file_system import refuse_writes

BROKEN = """\
def build(device): return deep(device)
def deep(device): raise ValueError("broken \\x1b[31m here")
"""
CLIP = {"kind": "nano", "weights": "clip"}


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_the_reason_names_a_file_with_the_traceback(
    tmp_path: Path, executor: Literal["inline", "ray"]
) -> None:
    if executor == "ray":
        pytest.importorskip("ray")
    (tmp_path / "broken_model.py").write_text(BROKEN)
    own = {"kind": "python", "target": "broken_model:build"}
    suite = write_suite(
        tmp_path, suite="tb", models={"CLIP": CLIP, "Mine": own},
        attacks=[{"kind": "pgd", "eps": "1/255", "steps": 1}], threats=["white-box"],
    )  # fmt: skip
    report = run_suite(
        suite, results=tmp_path / "results", device="cpu", trust=True, executor=executor,
        workers=1 if executor == "ray" else None, check=False,
    )  # fmt: skip
    assert report.failed == 2
    rows = pd.read_csv(report.folder / "cells.csv")
    failed = rows[rows["status"] == "failed"]
    assert set(failed["model"]) == {"Mine"}
    (why,) = set(failed["reason"])  # both cells name the file of the one error
    text, _, path = why.partition("; traceback: ")
    assert text.startswith("ValueError: broken") and path.startswith("runs/")
    kept = (report.folder / path).read_text()
    assert "in deep" in kept and "broken_model.py" in kept and "\x1b" not in kept
    assert len(list(report.folder.glob("runs/*/error-*.txt"))) == 1


def test_what_explains_itself_has_no_traceback(tmp_path: Path) -> None:
    logs = tmp_path / "s" / "runs" / "1"
    assert reason(raised(CellError("a sentence")), logs) == "a sentence"
    assert reason(raised(MemoryError("none left")), logs) == "MemoryError: none left"
    assert reason(raised(ValueError("no folder"))) == "ValueError: no folder"
    assert not logs.exists()


def test_a_traceback_that_cannot_be_written_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_writes(monkeypatch, tmp_path, errno.ENOSPC)
    assert reason(raised(ValueError("x")), tmp_path / "s" / "runs" / "1") == "ValueError: x"
