"""A run that holds in the middle of a cell, so that tests can do something to it there.

python -m tests.support.held_run CELLS run SUITE ...

Once so many cells are kept, it prints `held` before the next pass through a model, and waits until
its standard input is closed. So what a test does then comes neither too early nor too late, however
slow the machine is.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import run_bench
from bench.core.deadline import Deadline
from bench.core.types import CellResult
from bench.store.results_folder import Store
from tests.commands.test_cli import ENVIRONMENT, ROOT


@contextmanager
def held(suite: Path, results: Path, cells: int) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and yield its process once it holds with so many cells kept."""
    command = ["run", str(suite), "--results", str(results), "--no-check"]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.held_run", str(cells), *command], cwd=ROOT,
        env=ENVIRONMENT, text=True, stdin=-1, stdout=-1, stderr=-1,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def kept(results: Path) -> set[str]:
    """Return the ids of the cells that are kept."""
    return {path.stem for path in results.glob("small/cells/[!.]*.json")}


def _hold(cells: int) -> None:
    put, check, done = Store.put, Deadline.check, set[str]()

    def counted(store: Store, result: CellResult) -> None:
        put(store, result)
        done.add(result.cell_id)

    def held(deadline: Deadline) -> None:
        if len(done) == cells:
            print("held", flush=True)
            sys.stdin.read()
        check(deadline)

    Store.put, Deadline.check = counted, held  # type: ignore[method-assign]


if __name__ == "__main__":
    _hold(int(sys.argv[1]))
    raise SystemExit(run_bench.main(sys.argv[2:]))
