"""A process that runs the harness with a fault armed in it.

It is forked from one that has imported everything already, so that a run starts at once. What it
says goes to a file.
"""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

import bench.evaluate.cell
import bench.nano.nano_clip
import bench.run.console.board
import bench.run.split_jobs
import bench.run.suite_run
import run_bench
from tests.faults.inside import Inside, arm, hold

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.faults.child"])
_LONG = 0.05  # of a worker's share of all work, so that several workers are given parts


def start(
    arguments: Sequence[object], log: Path, inside: Inside = "", trigger: str = "", seed: int = 0,
    held: str = "", before: int = 0,
) -> BaseProcess:  # fmt: skip
    """Start `run_bench.py` with these arguments, and return its process.

    Where it is given the file `held`, it waits before so many passes: `tests.faults.inside.hold`.
    """
    call = (list(map(str, arguments)), str(log), inside, trigger, seed, held, before)
    process = _FORKS.Process(target=_run, args=call)
    process.start()
    return process


def finish(process: BaseProcess, seconds: float = 600.0) -> int | None:
    """Wait for the end of a process, and return its exit code; None where it hangs, and is ended.

    A negative one says which signal ended it.
    """
    process.join(seconds)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


def _run(
    arguments: list[str], log: str, inside: Inside, trigger: str, seed: int, held: str, before: int
) -> None:
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    bench.run.split_jobs._LONG = _LONG
    arm(inside, trigger, seed)
    if held:
        hold(before, held)
    if "ray" in arguments:
        from tests.faults.under_ray import arm_workers

        arm_workers(inside, trigger, seed)
    sys.exit(run_bench.main(arguments))
