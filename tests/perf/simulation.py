"""The scheduler against simulated clusters, up to 1,000 GPUs and a million cells.

python -m tests.perf --only simulation
python -m tests.perf.simulation 50 5 12 1     one of them, as JSON: GPUs, models, datasets, seeds
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from bench.core.resolved_names import DatasetLock, Lock
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.run.scheduler import run
from bench.run.split_jobs import jobs_of
from bench.run.watchers import Watcher
from bench.suite.load import Suite
from tests.perf.peak import peak
from tests.support.simulated_cluster import HAPPENS, Habits, KeptInMemory, SimulatedCluster

SCALES = ((8, 2, 3, 1), (50, 5, 12, 1), (1_000, 125, 20, 5))  # GPUs, models, datasets, seeds
_MEAN = 60.0  # seconds of a GPU for a cell
_LIMIT = 86_400.0  # seconds that a cell may take
_TOWERS = ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14")
_EPS = ["1/255", "2/255", "4/255", "8/255", "16/255"]
_ATTACKS: list[dict[str, object]] = [
    {"kind": "pgd", "steps": 10},
    {"kind": "pgd", "steps": 20, "nested": True},
    {"kind": "pgd", "steps": 50},
    {"kind": "pgd", "steps": 100, "restarts": 5},
    {"kind": "apgd-ce", "steps": 50},
    {"kind": "apgd-ce", "steps": 100, "nested": True},
    {"kind": "apgd-dlr", "steps": 100},
    {"kind": "apgd-t", "steps": 100, "targets": 3},
]


def suite_of(models: int, datasets: int, seeds: int) -> tuple[Suite, Lock]:
    """Return a suite in which models and datasets differ in size, and all that is to know of it.

    Each pair of a model and a dataset has a clean cell and 80 attacked cells per seed. Half of
    them are white-box cells; the others share the images of one model.
    """
    towers = [_TOWERS[index % len(_TOWERS)] for index in range(models)]
    suite = Suite.model_validate(
        {
            "suite": "simulation",
            "protocol": "radapt-paper",
            "samples": 5_000,
            "seeds": list(range(seeds)),
            "models": {
                f"model {index}": {
                    "kind": "open_clip", "name": tower, "pretrained": "laion2b",
                    "gpus": 0.5 if tower == "ViT-B-32" else 1.0,
                }
                for index, tower in enumerate(towers)
            },
            "datasets": [
                {"kind": "webdataset", "name": f"set {index}", "path": f"set {index}"}
                for index in range(datasets)
            ],
            "attacks": [
                {**attack, "name": f"attack {index}", "eps": _EPS}
                for index, attack in enumerate(_ATTACKS)
            ],
            "threats": ["white-box", {"transfer": "model 0"}],
        }
    )  # fmt: skip
    sets = {
        f"set {index}": DatasetLock(
            f"set {index}",
            tuple(map(str, range(500 * (1 + index % 10)))),
            tuple(map(str, range(10))),
            ("{c}",),
        )
        for index in range(datasets)
    }
    return suite, Lock({name: name for name in suite.models}, sets, spec_digests(suite))


def simulated(
    gpus: int, suite: Suite, lock: Lock, cells: Sequence[Cell], watcher: Watcher
) -> tuple[SimulatedCluster, KeptInMemory, float]:
    """Run cells on a simulated cluster; return it, its store, and the seconds to make jobs."""
    begun = time.process_time()
    jobs = jobs_of(suite, lock, cells, gpus, lambda key: False)
    planned = time.process_time() - begun
    rate = sum(job.work for job in jobs) / (_MEAN * len(cells))
    cluster, store = SimulatedCluster(gpus, Habits(rate)), KeptInMemory()
    watcher.begin(cells, jobs, gpus)
    run(jobs, cluster, store, watcher, limit=_LIMIT, clock=lambda: cluster.now)
    return cluster, store, planned


def _measured(gpus: int, suite: Suite, lock: Lock) -> dict[str, object]:
    cells = expand(suite, lock)
    begun = time.process_time()
    cluster, store, planned = simulated(gpus, suite, lock, cells, Watcher())
    spent = time.process_time() - begun - planned
    assert store.puts.keys() == {cell.id for cell in cells}
    each, hours = 1000 / len(cells), (cluster.last - cluster.first) / 3600
    return {
        "GPUs": gpus,
        "cells": len(cells),
        "hours": round(hours, 1),
        "idle": f"{cluster.idle:.2%}",
        "idle before the last job": f"{cluster.idle_before_tail:.2%}",
        "loading": f"{cluster.loading / 3600 / gpus / hours:.2%}",
        **{what: cluster.happened[what] for what in HAPPENS},
        "stored twice": sum(count > 1 for count in store.puts.values()),
        "failed": store.statuses["failed"],
        "ms a cell": round(each * spent, 3),
        "ms a cell to make jobs": round(each * planned, 3),
        "peak MB": round(peak()),
    }


def simulation() -> Iterator[dict[str, object]]:
    """Each scale in a process of its own."""
    for scale in SCALES:
        call = [sys.executable, "-m", "tests.perf.simulation", *map(str, scale)]
        yield json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Simulate one scale."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf.simulation", description=__doc__)
    for name in ("gpus", "models", "datasets", "seeds"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    print(json.dumps(_measured(given.gpus, *suite_of(given.models, given.datasets, given.seeds))))


if __name__ == "__main__":
    main()
