"""Commands that only read start quickly: they import nothing that they do not use."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SLOW = (
    *("torch", "ray", "pandas", "scipy", "pyarrow", "httpx", "huggingface_hub", "rich", "jinja2"),
    "PIL.EpsImagePlugin",  # Pillow imports it with all its other plugins, or not at all
)


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("plan", "suites/quickstart.yaml"),
        ("status", "suites/quickstart.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_commands_that_read_import_no_slow_library(command: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom bench.commands.main import main\n"
        f"assert main({list(command)!r}) == 0\n"
        f"print(*(set({_SLOW!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.split() == []


def test_importing_the_specs_builds_no_validator_of_an_attack() -> None:
    code = (
        "from bench.suite.specs import Ensemble, Pgd\n"
        "assert not Pgd.__pydantic_complete__ and not Ensemble.__pydantic_complete__\n"
        "Pgd(kind='pgd', eps='1/255')\n"
        "assert Pgd.__pydantic_complete__ and not Ensemble.__pydantic_complete__"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
