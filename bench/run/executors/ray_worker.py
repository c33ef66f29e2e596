"""What goes on inside a worker under Ray: a process that does one job after another."""

import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from bench.core.errors import UserError
from bench.core.locks import Lock
from bench.core.terminal import Legible
from bench.core.types import CellResult
from bench.run.executors.interface import RunJob
from bench.run.jobs import Job, describe_job
from bench.store.results_folder import Store
from bench.suite.load import Suite

if TYPE_CHECKING:  # a driver starts without it
    import torch


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to compute cells; crosses processes and nodes.

    Attributes:
        suite: What the cells' names refer to.
        lock: Which images they are scored on.
        problems: What could not be resolved, by key path.
        results: Folder of all results, absolute and on a file system that all nodes share.
        folder: Where relative paths and modules of the user's own begin, absolute.
        device: Where models run; what is there where None.
        batch: Images at once; found by trial where None.
        trust: Whether code named by the suite may be imported.
        compiled: Whether towers are compiled for gradients of full batches.
        limit: Seconds that a cell may take; any number where None.
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


Make = Callable[[Setup, float], tuple[RunJob, str]]  # for a share of an accelerator


def evaluator(setup: Setup, share: float) -> tuple[RunJob, str]:
    """Return what does a job in this process, and the device that it runs on.

    Raises:
        UserError: There is no such device here.
    """
    import torch

    from bench.core.devices import device_name, pick_device
    from bench.models.compiled import check_compiler

    device = pick_device(setup.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # there is a worker per processor
    elif share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device)  # the rest is for neighbours
    if setup.compiled:
        check_compiler(device)
    return on_device(setup, device), device_name(device)


def on_device(setup: Setup, device: "torch.device") -> RunJob:
    """Return what does a job in this process, on a device."""
    from bench.evaluate.cell import Evaluator  # brings torch

    evaluate = Evaluator(
        setup.suite, setup.lock, setup.problems, Store(setup.results, setup.suite.suite), device,
        setup.batch, setup.trust, setup.compiled, setup.limit,
    )  # fmt: skip
    return lambda job: evaluate(job.cell, job.part)


class Worker:
    """A worker; made where it runs. It ends when it is killed, or with its driver."""

    def __init__(self, setup: Setup, name: str, share: float, logs: Path, make: Make) -> None:
        """Take what it needs; nothing can fail yet, as Ray would not say why."""
        self._setup, self._name, self._share = setup, name, share
        self._logs, self._make = logs, make

    def begin(self) -> tuple[str, str]:
        """Get ready, and return the host and where this is: host, process and device in words.

        Raises:
            UserError: The node lacks a device or a folder; another would as well.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what Ctrl-C means is for the driver to say
        host = platform.node()
        for folder in (self._logs, self._setup.folder):
            if not folder.is_dir():
                raise UserError(f"{folder}: is not there on {host}; all nodes must share it")
        _write_to(self._logs / log_name(self._name))
        os.chdir(self._setup.folder)  # relative paths of a suite begin there
        if self._setup.trust:  # else a file there could take the place of a library's module
            sys.path.insert(0, str(self._setup.folder))
        self._run, device = self._make(self._setup, self._share)
        where = f"{host} {os.getpid()} {device}"
        _log(f"up on {where}")
        return host, where

    def run(self, job: Job) -> CellResult:
        """Do a job, and log when and how."""
        what, started = describe_job(job), time.perf_counter()
        _log(f"begin {what}")
        result = self._run(job)
        reason = f": {result.reason}" if result.reason else ""
        _log(f"end {what} {result.status} {time.perf_counter() - started:.1f} s{reason}")
        return result


def log_name(worker: str) -> str:
    """Return what a worker's log is called in the folder of its run."""
    return f"worker-{worker}.log"


def _write_to(path: Path) -> None:
    """Let all that this process and its libraries print go to the end of a file."""
    file = path.open("a", buffering=1, encoding="utf-8")
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = cast(TextIO, Legible(file))  # logs are read on terminals


def _log(text: str) -> None:
    with suppress(OSError):  # a full disk is for the results to tell
        print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")
