"""A run that stops and waits in the middle of a cell, at the same place on any machine.

When a given number of cells is stored, the process waits before the next pass through a model. So
the moment at which a test interrupts it does not depend on the machine's speed.
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


@contextmanager
def held(suite: Path, results: Path, cells: int) -> Iterator[BaseProcess]:
    """Start a run, and yield its process when it waits with `cells` cells stored.

    Its stderr is in `errors.txt` beside the results.
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
    """Return the ids of the stored cells."""
    return {path.stem for path in results.glob("small/cells/[!.]*.json")}


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
