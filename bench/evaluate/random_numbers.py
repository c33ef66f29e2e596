"""Random numbers of models that draw them while they embed an image."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def unmoved(device: torch.device) -> Iterator[None]:
    """Restore the states of torch's global generators afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def seeded(cell_id: str, part: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators for a cell, and restore their states afterwards.

    So a cell's result does not depend on the cells before it. Attacks have streams of their own.

    Args:
        cell_id: Id of the cell, hexadecimal.
        part: Index of the part of its images; None for all.
        device: Device of the models.
    """
    with unmoved(device):
        torch.manual_seed(int(cell_id[:8], 16) + (part or 0))
        yield
