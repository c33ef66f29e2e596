"""The one worker that this process itself is."""

import gc
import os
import platform
import time

from bench.core.errors import UserError
from bench.run.executors.interface import Opened, Outcome, RunJob
from bench.run.jobs import Job, describe_job

_NAME = "0"


class Inline:
    """Does jobs one after another, each when it is waited for.

    Attributes:
        slots: One.
        shares: There is nothing to share.
    """

    slots = 1
    shares = False

    def __init__(self, function: RunJob, device: str) -> None:
        """Take what does a job, and the name of the device that it runs on."""
        self._function = function
        self._device = device
        self._open = False
        self._news: list[Opened | Outcome] = []
        self._job: Job | None = None

    def open(self, gpus: float) -> str | None:
        """Begin; there is room for one."""
        if self._open:
            return None
        self._open = True
        self._news.append(Opened(_NAME, f"{platform.node()} {os.getpid()} {self._device}"))
        return _NAME

    def start(self, slot: str, job: Job) -> None:
        """Take a job, to be done when it is waited for."""
        self._job = job

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Say what is new; where that is nothing, do the job, and return what came of it.

        A job is not begun by who will not wait at all.
        """
        news, self._news = self._news, []
        if news or seconds == 0.0:
            return news
        if self._job is None:
            time.sleep(seconds or 0.0)
            return []
        job, self._job = self._job, None
        try:
            return [Outcome(_NAME, job, self._function(job))]
        except UserError:
            raise
        except Exception as error:  # cells keep their own failures to themselves
            raise UserError(
                f"{describe_job(job)}: {type(error).__name__}: {error}; this process cannot go on: "
                "what is finished is kept, run again"
            ) from error

    def end(self, slot: str) -> None:
        """Give the room up."""
        self._open = False

    def close(self) -> None:
        """Let go of what does jobs, and of the memory of its models: there are no more jobs."""
        import torch

        del self._function
        gc.collect()  # models and what was adapted from them are in cycles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
