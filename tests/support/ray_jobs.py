"""What workers do in `test_ray`, in a module that they import quickly."""

import os
import time
from pathlib import Path

import numpy as np

from bench.core.errors import DiskFull, UserError
from bench.core.types import CellResult
from bench.run.executors import Setup
from bench.run.executors.interface import RunJob
from bench.run.jobs import Job


def sleeper(setup: Setup, share: float) -> tuple[RunJob, str]:
    """Return what sleeps as many seconds as a job's work, and says when and where."""

    def run(job: Job) -> CellResult:
        if job.key == "full":
            raise DiskFull("the disk is full")
        if job.key == "raises":
            raise ValueError("something else")
        begun = time.time()
        time.sleep(job.work)
        known = {
            **{"pid": str(os.getpid()), "share": str(share), "begun": str(begun)},
            **{"ended": str(time.time()), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "")},
            **{"folder": str(Path.cwd()), "threads": os.environ["OMP_NUM_THREADS"]},
        }
        nothing = np.zeros(0)
        return CellResult(
            job.key, "ok", nothing.astype(np.bool_), (), nothing.astype(np.float32),
            job.work, 0, known,
        )  # fmt: skip

    return run, "nothing"


def no_device(setup: Setup, share: float) -> tuple[RunJob, str]:
    raise UserError("--device: got 'tpu', which cannot be used here")


class Unreadable:
    """What cannot be read where it arrives, as where a node lacks a module."""

    def __call__(self, setup: Setup, share: float) -> tuple[RunJob, str]:
        raise AssertionError

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("no number",)
