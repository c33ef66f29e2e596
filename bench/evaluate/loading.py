"""Loads what cells share: errors are remembered, and the time is measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from bench.core.deadline import Deadline
from bench.core.devices import memory_of
from bench.core.errors import FAILURES, CellError, StoreError, TimeUp
from bench.evaluate.memory_limit import memory_limit, private_memory
from bench.evaluate.random_numbers import unmoved
from bench.evaluate.tracebacks import reason
from bench.models.batch_size import memory_too_small

T = TypeVar("T")


@dataclass
class Loading:
    """Loads what cells share.

    Attributes:
        problems: Reasons why something could not be loaded, by key path; a second request for it
            raises the same reason.
        logs: Folder of the run, where tracebacks are written; None for none.
        device: Device of the models.
        memory: Bytes of the machine's memory that this process may fill.
        deadline: The time limit of what is computed; there is none before its `restart`.
        seconds: Time that loading has taken so far.
    """

    problems: dict[str, str]
    logs: Path | None
    device: torch.device
    memory: int = field(default_factory=memory_limit)
    deadline: Deadline = field(init=False, default_factory=Deadline)
    seconds: float = 0.0
    _filled_before: int = field(init=False)
    _nested: bool = False

    def __post_init__(self) -> None:
        """Note what Python and its libraries fill already."""
        self._filled_before = private_memory()

    def fills(self, part: float) -> bool:
        """Return whether models and images fill more than a part of the memory for this process."""
        if self.device.type == "cuda":
            filled = torch.cuda.memory_allocated(self.device)
        else:
            filled = private_memory() - self._filled_before
        return filled > self.share(part, self.device)

    def share(self, part: float, device: torch.device) -> float:
        """Return the bytes of a part of a device's memory, in (0,1], for this process."""
        return part * memory_of(device, self.memory)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Call `make` for something that cells share.

        An error is raised again for each later call with the same key. Errors that may pass
        (memory, time limit, store) are not remembered.

        Raises:
            CellError: An earlier call with the same key failed.
        """
        if key in self.problems:
            raise CellError(self.problems[key])
        try:
            return make()
        except FAILURES as error:
            if not (memory_too_small(error) or isinstance(error, TimeUp | StoreError)):  # may pass
                self.problems[key] = reason(error, self.logs)
            raise

    def check(self) -> None:
        """Raise TimeUp if the time limit has passed."""
        self.deadline.check()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of the block to `seconds`; loading within loading counts once.

        The block leaves torch's generators as they are: a cell's random numbers must not depend on
        what was loaded before it.

        Raises:
            TimeUp: The time limit has passed before the block.
        """
        self.check()
        if self._nested:
            yield
            return
        started, self._nested = time.perf_counter(), True
        try:
            with unmoved(self.device):
                yield
        finally:
            self._nested = False
            self.seconds += time.perf_counter() - started


class Stopwatch:
    """Measures time without loading, and the time of loading."""

    def __init__(self, loading: Loading) -> None:
        """Start.

        Args:
            loading: Measures the time of loading.
        """
        self._loading, self._loaded = loading, loading.seconds
        self._started = time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return the seconds since the start: without loading, and those of loading."""
        loading = self._loading.seconds - self._loaded
        return time.perf_counter() - self._started - loading, loading
