"""Puts the suites and the published numbers into the wheel; pyproject.toml has all else.

They are at the root of the repository, outside the packages, where setuptools finds no data of a
package. `bench/core/shipped_files.py` reads them from both places.
"""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("suites/*.yaml", "results/published/*")


class BuildWithSuites(build_py):
    """Builds the packages, and copies what is shipped to `bench/shipped/`."""

    def run(self) -> None:
        """Build; an editable installation reads the files where they are."""
        super().run()
        if self.editable_mode:
            return
        for pattern in SHIPPED:
            for file in sorted(Path().glob(pattern)):
                target = Path(self.build_lib, "bench", "shipped", file)
                target.parent.mkdir(parents=True, exist_ok=True)
                copyfile(file, target)


setup(cmdclass={"build_py": BuildWithSuites})
