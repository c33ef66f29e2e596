"""A process that starts its own Ray cluster, is interrupted while it waits, and stops Ray."""

import os
import signal
import sys
import threading
from pathlib import Path

import ray

from bench.core.resolved_names import Lock
from bench.plan.cells import Cell
from bench.run.executors import Ray, Setup
from bench.run.executors.interface import Opened, Outcome
from bench.run.jobs import Job
from bench.suite.load import load_suite
from tests.support.ray_jobs import sleeper, until


def main(suite: str, folder: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    setup = Setup(load_suite(suite), Lock(), {}, folder, folder)
    executor = Ray(setup, folder / "logs", workers=1, make=sleeper)
    assert signal.getsignal(signal.SIGTERM) == before
    assert executor.slots == 1
    slot = executor.open(0.25)  # a processor, as there is no accelerator
    assert slot is not None
    assert executor.open(0.25) is None
    cell = Cell("c", "", "CLIP", "cifar10", None, "", None, 0)
    executor.start(slot, Job("short", cell, work=0.0))
    found: list[Opened | Outcome] = []
    while len(found) < 2:
        found += executor.wait(None)
    executor.start(slot, Job("hold a", cell, work=0.0))
    try:
        threading.Thread(target=_interrupt, args=(folder / "hold a.begun",)).start()
        executor.wait(None)
    except KeyboardInterrupt:
        (folder / "hold a.go").touch()  # the job goes on only now: Ctrl-C did not wait for it
    else:
        raise AssertionError("Ctrl-C was not heard")
    (outcome,) = executor.wait(None)
    assert isinstance(outcome, Outcome)
    assert outcome.result is not None, outcome.lost  # the worker was not interrupted
    assert outcome.result.provenance["threads"] == "1"
    executor.start(slot, Job("hold b", cell, work=0.0))
    until((folder / "hold b.begun").exists)
    executor.close()  # although the job still waits
    executor.close()
    assert not ray.is_initialized()
    print("all is well")


def _interrupt(begun: Path) -> None:
    """Send Ctrl-C as a terminal does: Ray's own processes and the workers get it too."""
    until(begun.exists)
    os.killpg(os.getpgid(0), signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
