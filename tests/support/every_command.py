"""Every command of run_bench.py on a suite, in this process."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import run_bench
from bench.commands.main import COMMANDS
from tests.conftest import SMALL


def commands(folder: Path, suite: Path, baseline: str, cell: str) -> list[list[str]]:
    """Return arguments for every command; some need results that exist already."""
    results = ["--results", str(folder / "results")]
    name = yaml.safe_load(suite.read_text())["suite"]
    bundle = str(folder / f"{name}.zip")
    theirs = str(folder / "results" / name)
    calls = {
        "run": ["--device", "cpu", "--go-on"], "plan": [], "status": [], "fetch": [], "doctor": [],
        "data": [],
        "check": ["--device", "cpu"], "compare": ["--baseline", baseline],
        "export": ["--bundle", bundle], "images": ["--cell", cell, "--device", "cpu"],
        "merge": [theirs],
    }  # fmt: skip
    assert {*calls, "init", "list", "site"} == set(COMMANDS)
    every = [[name, str(suite), *results, *more] for name, more in calls.items()]
    written = str(folder / "written.yaml")
    site = ["site", results[1], bundle, "--out", str(folder / "site")]
    return [
        *every, ["merge", str(suite), *results, bundle], ["init", "quickstart", written], site,
        ["list"],
    ]  # fmt: skip


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command and return its output, which must have no traceback."""
    try:
        code = run_bench.main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    shown = "".join(capsys.readouterr())
    assert code in (0, 1, 2), arguments
    assert "Traceback" not in shown, arguments
    return shown


def write_suite(folder: Path, **changes: Any) -> Path:
    kept = {**SMALL, "samples": 2, "attacks": None, "threats": None, **changes}
    path = folder / f"{kept['suite']}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in kept.items() if value}))
    return path


def failures(folder: Path, suite: str) -> dict[str, str]:
    """Return the reasons of failed cells by model."""
    rows = pd.read_csv(folder / "results" / suite / "cells.csv")
    failed = rows[rows["status"] == "failed"]
    return dict(zip(failed["model"], failed["reason"], strict=True))


def cell_of(folder: Path, suite: str, model: str) -> str:
    rows = pd.read_csv(folder / "results" / suite / "cells.csv")
    return str(rows[rows["model"] == model]["cell_id"].iloc[0])
