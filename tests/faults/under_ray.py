"""The same faults in workers under Ray, which are processes of their own."""

from functools import partial
from typing import Any

from bench.run.executors import Ray, Setup
from bench.run.executors.interface import RunJob
from bench.run.executors.ray_worker import evaluator
from tests.faults.inside import Inside, arm


def arm_workers(inside: Inside, trigger: str, seed: int) -> None:
    """Let all executors under Ray that this process makes have workers that are armed."""
    begin, make = Ray.__init__, partial(_make, inside, trigger, seed)

    def armed(self: Ray, *args: Any, **options: Any) -> None:
        begin(self, *args, **options, make=make)

    Ray.__init__ = armed


def _make(
    inside: Inside, trigger: str, seed: int, setup: Setup, share: float
) -> tuple[RunJob, str]:
    arm(inside, trigger, seed)
    return evaluator(setup, share)
