"""A run that holds in the middle of a cell, so that tests can do something to it there.

Once so many cells are kept, it says so before the next pass through a model, and waits. So what a
test does then comes neither too early nor too late, however slow the machine is.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

import run_bench
from bench.core.deadline import Deadline
from bench.core.types import CellResult
from bench.store.results_folder import Store
from tests.support import forked
from tests.support.stored_cells import stored_ids


@contextmanager
def held(suite: Path, results: Path, cells: int) -> Iterator[BaseProcess]:
    """Start a run, and yield its process once it holds with so many cells kept.

    What it prints on stderr is in `errors.txt` beside the results.
    """
    command = ["run", str(suite), "--results", str(results), "--no-check"]
    ours, theirs = multiprocessing.Pipe()
    errors = str(results.with_name("errors.txt"))
    process = forked.process(_run, cells, command, theirs, errors)
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "held"
        yield process
    finally:
        process.kill()
        process.join()
        ours.close()


def kept(results: Path) -> set[str]:
    """Return the ids of the cells that are kept."""
    return stored_ids(results / "small")


def _run(cells: int, command: list[str], test: Connection, errors: str) -> None:
    forked.send_output(os.devnull, errors)
    torch.set_num_threads(1)
    _hold(cells, test)
    sys.exit(run_bench.main(command))


def _hold(cells: int, test: Connection) -> None:
    put, check, done = Store.put, Deadline.check, set[str]()

    def counted(store: Store, result: CellResult) -> None:
        put(store, result)
        done.add(result.cell_id)

    def held(deadline: Deadline) -> None:
        if len(done) == cells:
            test.send("held")
            test.recv()  # nothing ever comes
        check(deadline)

    Store.put, Deadline.check = counted, held  # type: ignore[method-assign]
