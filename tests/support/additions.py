"""A copy of the project to which a test adds a kind, to count the files that this touches.

A test writes files and inserts lines; the copy then runs a suite with the new kind.
`CONTRIBUTING.md` states the number of files for each kind.
"""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree

from tests.support import forked

ROOT = Path(__file__).parents[2]
HEAVY = ("bench/nano/weights", "bench/nano/data")  # linked, not copied


class Copy:
    """A copy of `bench`, `radapt` and `run_bench.py` below a folder.

    Attributes:
        root: Folder of the copy.
        touched: Files that were written or changed in the copy, relative to the root.
    """

    def __init__(self, root: Path) -> None:
        """Make the copy."""
        self.root = root
        self.touched: set[str] = set()
        for name in ("bench", "radapt"):
            copytree(ROOT / name, root / name, ignore=_heavy)
        for heavy in HEAVY:
            (root / heavy).symlink_to(ROOT / heavy, target_is_directory=True)
        (root / "run_bench.py").write_text((ROOT / "run_bench.py").read_text("utf-8"))

    def write(self, path: str, text: str) -> None:
        """Add a new file."""
        place = self.root / path
        assert not place.exists(), f"{path} is there already"
        place.write_text(text)
        self.touched.add(path)

    def insert(self, path: str, after: str, text: str) -> None:
        """Insert text after `after`, which the file must contain exactly once."""
        place = self.root / path
        old = place.read_text("utf-8")
        assert old.count(after) == 1, f"{path} has {old.count(after)} places that read {after!r}"
        place.write_text(old.replace(after, after + text))
        self.touched.add(path)

    def run(self, suite: str, *options: str) -> list[Mapping[str, str]]:
        """Run a suite, given as YAML with the name `added`, and return the rows of `cells.csv`."""
        (self.root / "added.yaml").write_text(suite)
        words = ("run", "added.yaml", "--no-check", "--device", "cpu", *options)
        self.call("run_bench.py", *words)
        with open(self.root / "results" / "added" / "cells.csv", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def call(self, script: str, *arguments: str) -> str:
        """Run a script of the copy, and return what it prints."""
        place = self.root / script
        done = forked.call_script(place, arguments, self.root, {**os.environ})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _heavy(folder: str, names: list[str]) -> set[str]:
    place = Path(folder).relative_to(ROOT)
    return {n for n in names if n == "__pycache__" or f"{place}/{n}" in HEAVY}
