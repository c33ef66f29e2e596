"""The commands as a user calls them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import load_results
from tests.support.forked import ROOT, call_script

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def call(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return call_script(ROOT / "run_bench.py", arguments, cwd, ENVIRONMENT)


def start(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Call in a process that imports everything itself, with another seed of hashes."""
    command = [sys.executable, str(ROOT / "run_bench.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT)


def test_run_twice(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    suite, results = suite_file(), tmp_path / "r"
    first = call(suite, "--results", results)
    assert first.returncode == 0, first.stderr
    assert "21 cells, 21 computed now, 0 failed" in first.stdout
    for name in ("cells.csv", "leaderboard.csv", "leaderboard.html"):
        assert (results / "small" / name).exists()
    assert "white-box" in first.stdout
    assert "transfer from CLIP" in first.stdout
    before = (results / "small" / "cells.csv").read_bytes()
    second = call("run", suite, "--results", results, "--no-check")
    assert "21 cells, 0 computed now, 0 failed" in second.stdout
    assert (results / "small" / "cells.csv").read_bytes() == before
    assert (
        "21 ok, 0 skip, 0 failed, 0 missing" in call("status", suite, "--results", results).stdout
    )
    (results / "small" / "cells.csv").unlink()
    assert call("export", suite, "--results", results).returncode == 0
    assert (results / "small" / "cells.csv").read_bytes() == before


def test_fresh_folders_give_equal_values(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    suite = suite_file()
    values = []
    for name, how in (("a", call), ("b", start)):
        assert how(suite, "--results", tmp_path / name, "--no-check").returncode == 0
        values.append(load_results(tmp_path / name / "small")[["cell_id", "value", "queries"]])
    assert values[0].equals(values[1])


def test_wrong_suites_and_calls_exit_with_2(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    for command in ("run", "plan", "status", "export"):
        done = call(command, suite_file(threats=["grey"]))
        assert done.returncode == 2
        assert "threats.0: got 'grey'" in done.stderr
        assert "Traceback" not in done.stderr
    own = {"M": {"kind": "python", "target": "tests.models.test_models:Own"}}
    done = call(suite_file(models=own, threats=["white-box"]), "--results", tmp_path)
    assert done.returncode == 2
    assert "models.M.kind: got 'python'" in done.stderr
    assert "--trust" in done.stderr
    assert call("run", "x.yaml", "--batch", "0").returncode == 2
    done = call(suite_file(), "--device", "banana", "--results", tmp_path)
    assert done.returncode == 2
    assert "--device: got 'banana'" in done.stderr
    assert call("nowhere.yaml").returncode == 2
    assert call().returncode == 2
    assert call("--help").returncode == 0


def test_what_is_missing_ends_a_run_before_it_or_fails_its_cells(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    gone = {"name": "gone", "kind": "webdataset", "path": "gone"}
    suite = suite_file(datasets=[gone, "digits"], attacks=None)
    words = (suite, "--results", tmp_path / "r", "--no-check")
    done = call(*words)
    assert done.returncode == 2
    assert "datasets.gone: gone: no such dataset folder; looked for in" in done.stderr
    assert str(suite.parent) in done.stderr
    assert not (tmp_path / "r").exists()
    done = call(*words, "--go-on")
    assert done.returncode == 1
    assert "datasets.gone: gone: no such dataset folder" in done.stderr
    status = load_results(tmp_path / "r" / "small").groupby("dataset")["status"].agg(set)
    assert status.to_dict() == {"gone": {"failed"}, "digits": {"ok"}}


@pytest.mark.parametrize("name", ["quickstart", "nano_full", "zero_shot"])
def test_plan_needs_nothing(name: str) -> None:
    done = call("plan", f"suites/{name}.yaml")
    assert done.returncode == 0, done.stderr
    cells = re.search(r"(\d+) cells", done.stdout)
    assert cells
    assert int(cells[1]) > 400


def test_list_names_every_kind() -> None:
    listed = start("list").stdout
    kinds = ("nano", "open_clip", "radapt", "python", "webdataset", "pgd", "cw", "apgd-ce")
    for kind in (*kinds, "pyautoattack", "torchattacks", "white-box", "radapt-paper"):
        assert kind in listed
