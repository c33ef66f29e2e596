"""A process that runs the harness with a fault armed in it.

What it says goes to a file.
"""

import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

import bench.run.split_jobs
import run_bench
from tests.faults.inside import Inside, arm, hold
from tests.support import forked

_LONG = 0.05  # of a worker's share of all work, so that several workers are given parts


def start(
    arguments: Sequence[object], log: Path, inside: Inside = "", trigger: str = "", seed: int = 0,
    held: str = "", before: int = 0,
) -> BaseProcess:  # fmt: skip
    """Start `run_bench.py` with these arguments, and return its process.

    Where it is given the file `held`, it waits before so many passes: `tests.faults.inside.hold`.
    """
    words = list(map(str, arguments))
    process = forked.process(_run, words, str(log), inside, trigger, seed, held, before)
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
    forked.send_output(log, log)
    torch.set_num_threads(1)
    bench.run.split_jobs._LONG = _LONG
    arm(inside, trigger, seed)
    if held:
        hold(before, held)
    if "ray" in arguments:
        from tests.faults.under_ray import arm_workers

        arm_workers(inside, trigger, seed)
    sys.exit(run_bench.main(arguments))
