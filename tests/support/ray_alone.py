"""A process that starts a cluster of its own, is interrupted while it waits, and ends it."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import ray

from bench.core.locks import Lock
from bench.plan.cells import Cell
from bench.run.executors import Ray, Setup
from bench.run.executors.interface import Opened, Outcome
from bench.run.jobs import Job
from bench.suite.load import load_suite
from tests.support.ray_jobs import sleeper


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
    executor.start(slot, Job("short", cell, work=0.1))
    found: list[Opened | Outcome] = []
    while len(found) < 2:
        found += executor.wait(None)
    executor.start(slot, Job("a", cell, work=2.0))
    # as a terminal does, which tells Ray's own processes and the workers as well
    threading.Timer(0.5, os.killpg, (os.getpgid(0), signal.SIGINT)).start()
    begun = time.monotonic()
    try:
        executor.wait(None)
    except KeyboardInterrupt:
        assert time.monotonic() - begun < 1.9, "Ctrl-C had to wait for the job"
    else:
        raise AssertionError("Ctrl-C was not heard")
    (outcome,) = executor.wait(10.0)
    assert isinstance(outcome, Outcome)
    assert outcome.result is not None, outcome.lost  # the worker heard nothing of it
    assert outcome.result.provenance["threads"] == "1"
    executor.start(slot, Job("b", cell, work=60.0))
    begun = time.monotonic()
    executor.close()
    executor.close()
    assert time.monotonic() - begun < 10
    assert not ray.is_initialized()
    print("all is well")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
