"""The jobs of workers in `test_ray`, in a module that is quick to import."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.core.errors import DiskFull, UserError
from bench.core.types import CellResult
from bench.run.executors import Setup
from bench.run.executors.interface import RunJob
from bench.run.jobs import Job

_LONGEST = 600.0  # seconds, after which a test that hangs is ended


def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    given_up = time.monotonic() + _LONGEST
    while not happened():
        if time.monotonic() > given_up:
            raise TimeoutError("it never happened")
        time.sleep(0.02)


def sleeper(setup: Setup, share: float) -> tuple[RunJob, str]:
    """Return a function that sleeps for a job's work in seconds, and reports where it ran.

    A job `hold NAME` makes the file `hold NAME.begun`, and ends when `hold NAME.go` exists.
    A job `meet COUNT NAME` ends when COUNT such jobs have begun.
    """

    def run(job: Job) -> CellResult:
        if job.key == "full":
            raise DiskFull("the disk is full")
        if job.key == "raises":
            raise ValueError("something else")
        what, *more = job.key.split()
        if what in ("hold", "meet"):
            Path(f"{job.key}.begun").touch()
        if what == "hold":
            until(Path(f"{job.key}.go").exists)
        if what == "meet":
            until(lambda: len(list(Path().glob("meet *.begun"))) == int(more[0]))
        time.sleep(job.work)
        known = {
            **{"pid": str(os.getpid()), "share": str(share)},
            **{"gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""), "folder": str(Path.cwd())},
            "threads": os.environ["OMP_NUM_THREADS"],
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
    """An object that workers cannot unpickle, as on a node that lacks a module."""

    def __call__(self, setup: Setup, share: float) -> tuple[RunJob, str]:
        raise AssertionError

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("no number",)
