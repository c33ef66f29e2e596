"""What a worker may import: modules of the user's own with `--trust`, and else its libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEGIN = """\
import importlib, sys
from pathlib import Path
from bench.run.executors.ray_worker import Setup, Worker
from bench.core.resolved_names import Lock
from bench.suite.load import load_suite

folder = Path(sys.argv[1])
suite = load_suite(folder / "suite.yaml")
setup = Setup(suite, Lock(), {}, folder, folder, "cpu", trust=sys.argv[2] == "yes")
Worker(setup, "w", 1.0, folder, lambda setup, share: (print, "cpu")).begin()
importlib.import_module("beside")
"""


@pytest.mark.parametrize("trust", ["yes", "no"])
def test_modules_beside_a_suite_need_trust(tmp_path: Path, trust: str) -> None:
    """A file there could take the place of a library's module that is imported late."""
    ran = tmp_path / "ran"
    (tmp_path / "beside.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    (tmp_path / "suite.yaml").write_text(
        "{suite: s, protocol: {preset: radapt-paper}, models: {M: {kind: nano, weights: clip}}, "
        "datasets: [cifar10], samples: 2}"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", BEGIN, str(tmp_path), trust],  # -P: no folder of its own
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    log = (tmp_path / "worker-w.log").read_text()
    assert ran.exists() is (trust == "yes"), log
    assert (done.returncode == 0) is (trust == "yes"), log
    assert ("No module named 'beside'" in log) is (trust == "no")
