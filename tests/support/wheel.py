"""The wheel of this checkout, built without network; nothing is left in the checkout."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PARTS = (
    *("bench", "radapt", "suites", "results", "README.md", "LICENSE", "MANIFEST.in"),
    *("pyproject.toml", "setup.py", "run_bench.py"),
)


def build_wheel(folder: Path) -> Path:
    """Build the wheel in a folder that does not exist yet, with the installed setuptools."""
    folder.mkdir()
    for part in _PARTS:
        (folder / part).symlink_to(ROOT / part)
    code = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("dist/*.whl")
    return wheel
