"""Seconds and memory to read back ten thousand cells of 1,000 images: `status`, and all tables.

python -m tests.perf --only stored                fills a store (a minute) and reads it back
python -m tests.perf --only million               fills one with a million cells (15 minutes, 2 GB)
python -m tests.perf.stored FOLDER                fills one to keep
python -m tests.perf.stored FOLDER "all tables"   one line: seconds, and the peak of memory in MB
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.commands.status import status_lines
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.report.export import export
from bench.run.events import EventFile
from bench.run.jobs import Job
from bench.store.results_folder import Store
from bench.store.snapshot import read_results, store_names
from bench.suite.load import Suite
from tests.perf.peak import peak

IMAGES = 1_000
_SETS = ("cifar10", "cifar100", "eurosat", "dtd", "pets", "cars", "pcam", "stl10", "gtsrb", "svhn")
_BUDGETS = ["1/255", "2/255", "4/255", "8/255"]


def _model(index: int) -> dict[str, object]:
    """Return a bare tower or, every other time, one that is adapted by another's anchor."""
    if index % 2 == 0:
        return {"kind": "nano", "weights": "clip"}
    near = {"base": f"model {index - 1}", "anchor": {"white": "model 0"}}
    return {"kind": "radapt", **near, "alpha": 1.0, "cutoff": 40}


def suite_of(models: int, attacks: int) -> Suite:
    """Return a suite with 10 datasets, two threat models and four radii per attack."""
    return Suite.model_validate(
        {
            "suite": "stored",
            "protocol": "radapt-paper",
            "samples": IMAGES,
            "models": {f"model {index}": _model(index) for index in range(models)},
            "datasets": [{"kind": "webdataset", "name": name, "path": name} for name in _SETS],
            "attacks": [
                {"kind": "pgd", "name": f"pgd-{steps}", "steps": steps, "eps": _BUDGETS}
                for steps in range(10, 10 + attacks)
            ],
            "threats": ["white-box", {"transfer": "model 0"}],
        }
    )


def lock_of(suite: Suite) -> Lock:
    """Return a lock with 1,000 images per dataset."""
    return Lock(
        {name: name for name in suite.models},
        {
            name: DatasetLock(
                name,
                tuple(f"test/{index % 7}.tar/s{index:07d}" for index in range(IMAGES)),
                tuple(f"thing {index}" for index in range(100)),
                ("a photo of a {c}.",),
            )
            for name in _SETS
        },
        spec_digests(suite),
    )


SUITE = suite_of(25, 5)
LOCK = lock_of(SUITE)
_MILLION = suite_of(125, 100)


def fill(store: Store) -> None:
    """Put a result of every cell, with all that a real one has, and the events of a run.

    Some images are hard for all models and some models better than others, so that the
    paired tests behind the ranks have as much to count as in a real table.
    """
    store.put_lock(LOCK)
    generator = np.random.default_rng(0)
    hard = {name: generator.random(IMAGES) for name in _SETS}
    skill = {name: 0.4 + 0.2 * generator.random() for name in SUITE.models}
    cells = expand(SUITE, LOCK)
    events = EventFile(store.folder / "runs" / "made-up" / "events.jsonl")
    events.begin(cells, [Job(cell.id, cell) for cell in cells], 8)
    for place, cell in enumerate(cells):
        given = skill[cell.target] - 10 * cell.budget.eps + 0.1 * generator.random(IMAGES)
        result = _result(cell, hard[cell.dataset] < given, generator, place)
        events.starting(str(place % 8), Job(cell.id, cell), 10.0)
        store.put(result)
        events.finished(str(place % 8), Job(cell.id, cell), result, 10.0)


def _result(
    cell: Cell, correct: NDArray[np.bool_], generator: np.random.Generator, place: int
) -> CellResult:
    provenance = {
        **{"torch": "2.13.0", "device": "cuda:0", "gpu": "an accelerator", "precision": "fp32"},
        **{"batch": "256", "backwards": str(place), "model_pixels": "224", "logit_scale": "100.0"},
        **{"mean": "0.481 0.458 0.408", "std": "0.269 0.261 0.276", "activation": "QuickGELU"},
    }
    ids = LOCK.datasets[cell.dataset].sample_ids
    far = np.where(correct, 0.0, cell.budget.eps).astype(np.float32)
    far[::10] *= generator.random(len(far[::10]), np.float32)  # not all end at the full radius
    return CellResult(cell.id, "ok", correct, ids, far, 12.345, 10_000 + place, provenance)


WORKS: dict[str, Callable[[Store], object]] = {
    "what is missing": lambda store: read_results(SUITE, store).missing(),
    "status": lambda store: list(status_lines(SUITE, store)),
    "all tables": lambda store: export(read_results(SUITE, store)),
}


def million() -> Iterator[dict[str, object]]:
    """Store a million cells; then ask for their status and write their tables."""
    lock = lock_of(_MILLION)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stored.yaml").write_text(_MILLION.as_json())
        store = Store(folder, _MILLION.suite)
        store.put_lock(lock)
        begun = time.perf_counter()
        results = read_results(_MILLION, store, lock)
        named = time.perf_counter()
        store_names(results)
        generator, spent = np.random.default_rng(0), 0.0
        for place, cell in enumerate(results.cells):
            result = _result(cell, generator.random(IMAGES) < 0.5, generator, place)
            before = time.perf_counter()
            store.put(result)
            spent += time.perf_counter() - before
        store.flush()
        cells = len(results.cells)
        size = sum(path.stat().st_size for path in store.cells.folder.iterdir())
        yield {"work": "name the cells", "cells": cells, "s": round(named - begun, 1)}
        yield {"work": "store the cells", "cells": cells, "s": round(spent, 1),
               "ms a cell": round(1000 * spent / cells, 2), "GB": round(size / 1e9, 2)}  # fmt: skip
        first, whole, peak_mb = _command("status", folder)
        yield {"work": "`status`", "cells": cells, "s": whole, "peak MB": peak_mb}
        first, whole, peak_mb = _command("export", folder)
        page = (store.folder / "leaderboard.html").stat().st_size
        yield {"work": "`export`: the leaderboard is printed", "cells": cells, "s": first}
        yield {"work": "`export`: all tables and the page", "cells": cells, "s": whole,
               "peak MB": peak_mb, "page MB": round(page / 1e6, 1)}  # fmt: skip


def _command(name: str, folder: Path) -> tuple[float, float, int]:
    """Call a command in a process of its own.

    Returns:
        Seconds to its first line, and to its end; its peak of memory in MB.
    """
    call = [sys.executable, "run_bench.py", name, str(folder / "stored.yaml"), "--results", folder]
    start = time.perf_counter()
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        first = time.perf_counter() - start
        process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return round(first, 1), round(whole, 1), round(usage.ru_maxrss / 1000)


def stored() -> Iterator[dict[str, object]]:
    """Fill a store, and read it back in a process of its own for each purpose."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Store(Path(folder), SUITE.suite))
        for name in WORKS:
            start = time.perf_counter()
            call = [sys.executable, "-m", "tests.perf.stored", folder, name]
            done = subprocess.run(call, capture_output=True, text=True, check=True)
            whole = time.perf_counter() - start
            seconds, memory = map(float, done.stdout.split())
            yield {
                "cells": len(expand(SUITE, LOCK)),
                "images each": IMAGES,
                "work": name,
                "s": round(seconds, 2),
                "s with Python start-up": round(whole, 2),
                "peak MB": round(memory),
            }


def main() -> None:
    """Fill a folder, or read back what one holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf.stored", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of results")
    parser.add_argument("work", nargs="?", choices=WORKS, help="without it the folder is filled")
    given = parser.parse_args()
    store = Store(given.folder, SUITE.suite)
    if given.work is None:
        fill(store)
        return
    start = time.perf_counter()
    WORKS[given.work](store)
    print(time.perf_counter() - start, peak())


if __name__ == "__main__":
    main()
