"""The worker process under Ray, which runs one job after another."""

import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from bench.core.errors import UserError
from bench.core.exits import exit_raises
from bench.core.resolved_names import Lock
from bench.core.terminal import Legible
from bench.core.types import CellResult
from bench.evaluate.memory_limit import memory_limit
from bench.run.executors.interface import RunJob
from bench.run.jobs import Job, describe_job
from bench.store.results_folder import Store
from bench.suite.load import Suite

if TYPE_CHECKING:  # the driver process starts without torch
    import torch


@dataclass(frozen=True, slots=True)
class Setup:
    """The data that a worker needs to compute cells; it is pickled and sent to other nodes.

    Attributes:
        suite: The suite.
        lock: The resolved names of the suite.
        problems: Reasons for names that could not be resolved, by key path.
        results: Absolute folder of all results, on a file system that all nodes share.
        folder: Absolute working folder: the base of relative paths.
        device: Device of the models; None for the accelerator or else the CPU.
        batch: Images per batch; found by trial if None.
        trust: Whether code that the suite names may be imported.
        compiled: Whether towers are compiled for gradients of full batches.
        limit: Time limit of a cell in seconds; None for no limit.
        logs: Folder of the run, where tracebacks are written; None for none.
        beside: Largest number of workers on this machine, which share its memory.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    results: Path
    folder: Path
    device: str | None = None
    batch: int | None = None
    trust: bool = False
    compiled: bool = False
    limit: float | None = None
    logs: Path | None = None
    beside: int = 1


# Given the setup and the share of an accelerator, returns the job function and the device's name.
Make = Callable[[Setup, float], tuple[RunJob, str]]


def evaluator(setup: Setup, share: float) -> tuple[RunJob, str]:
    """Return the function that runs a job in this process, and the name of its device.

    Raises:
        UserError: The node does not have the device.
    """
    import torch

    from bench.core.devices import device_name, pick_device
    from bench.models.compiled import check_compiler

    device = pick_device(setup.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # there is one worker per processor
    elif share < 1:
        # the rest of the memory is for the other workers on this accelerator
        torch.cuda.set_per_process_memory_fraction(share, device)
    if setup.compiled:
        check_compiler(device)
    return on_device(setup, device), device_name(device)


def on_device(setup: Setup, device: "torch.device") -> RunJob:
    """Return the function that runs a job in this process on a device."""
    from bench.evaluate.cell import Evaluator  # brings torch

    evaluate = Evaluator(
        setup.suite, setup.lock, setup.problems, Store(setup.results, setup.suite.suite), device,
        setup.batch, setup.trust, setup.compiled, setup.limit, setup.logs,
        memory_limit() // setup.beside,
    )  # fmt: skip

    @exit_raises()
    def run(job: Job) -> CellResult:
        return evaluate(job.cell, job.part)

    return run


class Worker:
    """The Ray actor of a worker; it ends when it is killed or when the driver process ends."""

    def __init__(
        self, setup: Setup, name: str, share: float, beside: int, logs: Path, make: Make
    ) -> None:
        """Store the arguments only: Ray would hide the reason of an error here."""
        self._setup, self._name, self._share = replace(setup, beside=beside), name, share
        self._logs, self._make = logs, make

    def begin(self) -> tuple[str, str]:
        """Load the evaluator; return the host, and a text with host, process and device.

        Raises:
            UserError: The node does not have the device or a shared folder.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
        host = platform.node()
        for folder in (self._logs, self._setup.folder):
            if not folder.is_dir():
                raise UserError(f"{folder}: missing on {host}; all nodes must share this folder")
        _write_to(self._logs / log_name(self._name))
        os.chdir(self._setup.folder)  # relative paths in a suite refer to this folder
        self._run, device = self._make(self._setup, self._share)
        where = f"{host} {os.getpid()} {device}"
        _log(f"up on {where}")
        return host, where

    def run(self, job: Job) -> CellResult:
        """Run a job, and log its start, end and status."""
        what, started = describe_job(job), time.perf_counter()
        _log(f"begin {what}")
        result = self._run(job)
        reason = f": {result.reason}" if result.reason else ""
        _log(f"end {what} {result.status} {time.perf_counter() - started:.1f} s{reason}")
        return result


def log_name(worker: str) -> str:
    """Return the file name of a worker's log in the folder of its run."""
    return f"worker-{worker}.log"


def _write_to(path: Path) -> None:
    """Redirect the output of this process and its libraries to the end of a file."""
    file = path.open("a", buffering=1, encoding="utf-8")
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = cast(TextIO, Legible(file))  # users read logs on terminals


def _log(text: str) -> None:
    with suppress(OSError):  # if the disk is full, writing the result reports it
        print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")
