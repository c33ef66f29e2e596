"""What a process may import: with `--trust` modules beside the suite and of the working folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.module_files import import_module, module_file
from bench.suite.load import load_suite
from bench.suite.specs import PythonModel

ROOT = Path(__file__).parents[2]
BUILD = """\
import sys
from pathlib import Path
import torch
from bench.core.errors import CellError
from bench.core.resolved_names import Lock
from bench.models import build_model
from bench.run.executors.ray_worker import Setup, Worker
from bench.suite.load import load_suite

suites, here, trust, ray = Path(sys.argv[1]), Path.cwd(), sys.argv[2] == "yes", sys.argv[3] == "ray"
suite = load_suite(suites / "suite.yaml")
setup = Setup(suite, Lock(), {}, here, here, "cpu", trust=trust)
if ray:
    beside = []
    def make(setup, share):
        beside.append(setup.beside)
        return print, "cpu"
    Worker(setup, "w", 1.0, 4, here, make).begin()
    assert beside == [4]  # workers, which share the machine's memory
for name, spec in suite.models.items():
    assert len(spec.content()) == 64  # found with and without trust, and not imported
    try:
        build_model(spec, torch.device("cpu"), None, trust=trust)
    except CellError as error:
        print(error)
known = [str(Path(place).absolute()) for place in sys.path]
for folder in (suites, here):
    assert (str(folder) in known) is trust, known
    assert not trust or known.index(str(folder)) >= len(known) - 2, known  # behind libraries
"""
MODEL = """\
from pathlib import Path
Path(__file__ + ".ran").touch()
class Model:
    encode_image = encode_text = logit_scale = None
def build(device): return Model()
"""
SUITE = (
    "{suite: s, protocol: {preset: radapt-paper}, datasets: [cifar10], samples: 2, models: "
    "{A: {kind: python, target: 'beside:build'}, B: {kind: python, target: 'here:build'}}}"
)


@pytest.mark.parametrize("executor", ["inline", "ray"])
@pytest.mark.parametrize("trust", ["yes", "no"])
def test_modules_beside_a_suite_need_trust(tmp_path: Path, trust: str, executor: str) -> None:
    """A file there could take the place of a library's module that is imported late."""
    suites, here = tmp_path / "suites", tmp_path / "here"
    for folder, name in ((suites, "beside.py"), (here, "here.py")):
        folder.mkdir()
        (folder / name).write_text(MODEL)
    (suites / "suite.yaml").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-P", "-c", BUILD, str(suites), trust, executor],  # -P: without its folder
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=here, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    log = here / "worker-w.log"
    said = done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    assert done.returncode == 0, said
    for ran in (suites / "beside.py.ran", here / "here.py.ran"):
        assert ran.exists() is (trust == "yes"), said
    assert said.count("run with --trust") == (0 if trust == "yes" else 2)


def test_modules_of_two_suites_are_not_confused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    folders = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "same_name.py").write_text(f"value = {name!r}\n")
        (folder / "suite.yaml").write_text(SUITE.replace("beside", "same_name"))
        spec = load_suite(folder / "suite.yaml").models["A"]
        assert isinstance(spec, PythonModel)
        folders.append(spec.module_folders)
    try:
        assert import_module("same_name", folders[0]).value == "one"
        assert module_file("same_name", folders[1]) == tmp_path / "two" / "same_name.py"
        with pytest.raises(ImportError, match=r"already imported from .*one/same_name\.py"):
            import_module("same_name", folders[1])
    finally:
        sys.modules.pop("same_name", None)


def test_a_module_that_is_missing_is_named_with_the_folders(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    spec = load_suite(tmp_path / "suite.yaml").models["A"]
    with pytest.raises(Exception, match=f"no module named 'beside' .* in {tmp_path}, "):
        spec.content()
