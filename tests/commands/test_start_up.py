"""Commands that only read start quickly: they import nothing that they do not use."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.suite.load import load_suite

ROOT = Path(__file__).parents[2]
_SLOW = (
    *("torch", "ray", "pandas", "scipy", "pyarrow", "httpx", "rich", "jinja2"),
    "huggingface_hub.file_download",  # brings a client of HTTP
    "PIL.Image",  # `plan` needs the size of embedded images
    "PIL.EpsImagePlugin",  # Pillow imports it with all its other plugins, or not at all
)


def run_code(code: str) -> list[str]:
    """Run code in a process of its own, and return the words that it prints on stderr."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


def slow_imports(*command: str) -> list[str]:
    """Return the slow libraries that a command imports."""
    return run_code(
        "import sys\nfrom bench.commands.main import main\n"
        f"assert main({list(command)!r}) == 0\n"
        f"print(*sorted(set({_SLOW!r}) & set(sys.modules)), file=sys.stderr)"
    )


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "plan suites/quickstart.yaml",
        "plan suites/zero_shot.yaml",  # whose models and datasets are on the hub
        "status suites/quickstart.yaml",
    ],
)
def test_commands_that_read_import_no_slow_library(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    needed = {"PIL.Image"} if command.startswith("plan") else set()
    assert set(slow_imports(*command.split())) <= needed


def test_a_finished_suite_is_run_again_without_torch(tmp_path: Path) -> None:
    path, results = tmp_path / "suite.yaml", tmp_path / "results"
    path.write_text(
        "suite: done\nprotocol: {preset: radapt-paper, pixels: native}\nsamples: 4\n"
        "models: {CLIP: {kind: nano, weights: clip}}\ndatasets: [digits]\n"
    )
    suite = load_suite(path)
    lock, _ = resolve(suite)
    store = Store(results, suite.suite)
    store.put_lock(lock)
    ids = lock.datasets["digits"].sample_ids
    for cell in expand(suite, lock):
        store.put(
            CellResult(cell.id, "ok", np.ones(4, bool), ids, np.zeros(4, np.float32), 1.0, 4, {})
        )
    assert not {"torch", "scipy"} & set(slow_imports("run", str(path), "--results", str(results)))


def test_importing_the_specs_builds_no_validator_of_an_attack() -> None:
    run_code(
        "from bench.suite.specs import Ensemble, Pgd\n"
        "assert not Pgd.__pydantic_complete__ and not Ensemble.__pydantic_complete__\n"
        "Pgd(kind='pgd', eps='1/255')\n"
        "assert Pgd.__pydantic_complete__ and not Ensemble.__pydantic_complete__"
    )
