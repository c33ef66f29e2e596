"""Measure the GPU usage of a cell: peak memory and mean utilization."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import torch

_INTERVAL = 0.5  # seconds between two samples of the utilization


class Usage:
    """Context manager that measures the GPU usage of its block; it measures nothing on a CPU."""

    def __init__(self, device: torch.device) -> None:
        """Prepare to measure a device; measuring starts on entry."""
        self.device = device
        self._busy: list[int] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        """Start measuring."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop measuring."""
        self._stopped.set()

    def facts(self) -> Mapping[str, str]:
        """Return the peak memory in MB and the mean utilization in percent; empty on a CPU."""
        if self.device.type != "cuda":
            return {}
        peak = {"gpu_memory": f"{torch.cuda.max_memory_allocated(self.device) / 1e6:.0f} MB"}
        busy = list(self._busy)
        return peak | ({"gpu_busy": f"{sum(busy) / len(busy):.0f}%"} if busy else {})

    def _sample(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            try:
                self._busy.append(torch.cuda.utilization(self.device))
            except Exception:  # the vendor's library is optional, and may not support this device
                return
