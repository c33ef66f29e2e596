"""The executor that runs jobs in this process."""

import gc
import os
import platform
import time

from bench.core.errors import UserError
from bench.run.executors.interface import Opened, Outcome, RunJob
from bench.run.jobs import Job, describe_job

_NAME = "0"


class Inline:
    """Runs one job at a time in this process; a started job runs when `wait` is called.

    Attributes:
        slots: Number of workers: 1.
        shares: False: one worker has the whole device.
    """

    slots = 1
    shares = False

    def __init__(self, function: RunJob, device: str) -> None:
        """Set the function that runs a job, and the name of its device."""
        self._function = function
        self._device = device
        self._open = False
        self._reports: list[Opened | Outcome] = []
        self._job: Job | None = None

    def open(self, gpus: float) -> str | None:
        """Open the worker and return its slot; None if it is open already."""
        if self._open:
            return None
        self._open = True
        self._reports.append(Opened(_NAME, f"{platform.node()} {os.getpid()} {self._device}"))
        return _NAME

    def start(self, slot: str, job: Job) -> None:
        """Accept a job; `wait` runs it."""
        self._job = job

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Return new reports; if there are none, run the job and return its outcome.

        With `seconds=0` no job is run.
        """
        reports, self._reports = self._reports, []
        if reports or seconds == 0.0:
            return reports
        if self._job is None:
            time.sleep(seconds or 0.0)
            return []
        job, self._job = self._job, None
        try:
            return [Outcome(_NAME, job, self._function(job))]
        except UserError:
            raise
        except Exception as error:  # an error of a cell is a result, so this one is not a cell's
            raise UserError(
                f"{describe_job(job)}: {type(error).__name__}: {error}; this process cannot "
                "continue; finished cells are stored, run the suite again"
            ) from error

    def end(self, slot: str) -> None:
        """End the worker."""
        self._open = False

    def close(self) -> None:
        """Free the models and their GPU memory; no more jobs can run."""
        import torch

        del self._function
        gc.collect()  # models and the models adapted from them are in reference cycles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
