"""Faults that strike inside a process of the harness: armed there, set off by a file.

The process that finds the file takes it away, so that a fault strikes once, whoever is hit.
"""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch

import bench.plan.shards
from bench.models import ClipModel

PART = 3  # images of a part, so that a few images have several
Inside = Literal["", "exception", "memory", "clock"]


def arm(inside: Inside, trigger: str, seed: int) -> None:
    """Make parts small, and have a fault strike as soon as the file `trigger` is there."""
    bench.plan.shards.PART = PART
    match inside:
        case "exception":
            _fail(trigger, lambda: RuntimeError("a fault that was put there"))
        case "memory":
            _fail(trigger, lambda: torch.OutOfMemoryError("CUDA out of memory, as it were"))
        case "clock":
            _jump(trigger, timedelta(days=(-1) ** seed * (1 + seed % 400)))


def hold(before: int, held: str) -> None:
    """Let this process wait before its so-manieth pass through a model.

    It makes the file `held` then, and waits while that is there. Each pass adds a byte to the file
    `held` with `.passes` after its name.
    """
    encode, number = ClipModel.encode_image, count(1)

    def waiting(self: ClipModel, images: torch.Tensor) -> torch.Tensor:
        with open(f"{held}.passes", "ab") as passes:
            passes.write(b".")
        if next(number) == before:
            Path(held).touch()
            while os.path.exists(held):
                time.sleep(0.01)
        return encode(self, images)

    ClipModel.encode_image = waiting


def _fail(trigger: str, error: Callable[[], Exception]) -> None:
    """Let the next image that goes into a model raise an error."""
    encode = ClipModel.encode_image

    def struck(self: ClipModel, images: torch.Tensor) -> torch.Tensor:
        if _taken(trigger):
            raise error()
        return encode(self, images)

    ClipModel.encode_image = struck


def _taken(trigger: str) -> bool:
    try:
        os.unlink(trigger)
    except FileNotFoundError:
        return False
    return True


def _jump(trigger: str, far: timedelta) -> None:
    """Let all that asks for the time of day be told another, from when the trigger is there."""
    true = time.time

    def shift() -> timedelta:
        return far if os.path.exists(trigger) else timedelta()

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + shift()

    time.time = lambda: true() + shift().total_seconds()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "bench" and getattr(module, "datetime", None) is datetime:
            module.datetime = Jumping
