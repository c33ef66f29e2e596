"""What a cell takes of an accelerator: the most memory, and how busy it was."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import torch

_EVERY = 0.5  # seconds between looks


class Usage:
    """Watches an accelerator for as long as it is entered; knows nothing of a CPU."""

    def __init__(self, device: torch.device) -> None:
        """Watch a device, but not yet."""
        self.device = device
        self._busy: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
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
        """End."""
        self._over.set()

    def facts(self) -> Mapping[str, str]:
        """Return memory in MB, and the mean share of time in which the accelerator worked."""
        if self.device.type != "cuda":
            return {}
        peak = {"gpu_memory": f"{torch.cuda.max_memory_allocated(self.device) / 1e6:.0f} MB"}
        busy = list(self._busy)
        return peak | ({"gpu_busy": f"{sum(busy) / len(busy):.0f}%"} if busy else {})

    def _look(self) -> None:
        while not self._over.wait(_EVERY):
            try:
                self._busy.append(torch.cuda.utilization(self.device))
            except Exception:  # the maker's library is an extra, and may not know this device
                return
