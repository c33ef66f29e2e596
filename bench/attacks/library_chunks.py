"""What adapters over other libraries share.

These libraries draw random numbers per batch, so a chunk's size changes their answer: it
is part of the cell's identity, and each chunk is seeded from its first image.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.core.types import Classifier, Norm

Perturb = Callable[[Tensor, Tensor, int], Tensor]
NORMS: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}  # as both libraries write them
_SEED_LIMIT = 2**32  # numpy and the libraries take seeds below this


def in_chunks(
    perturb: Perturb, images: Tensor, labels: Tensor, seeds: Sequence[int], chunk: int
) -> Tensor:
    """Call `perturb(images, labels, seed)` chunk by chunk, and leave the global stream alone."""
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # both libraries seed the global generator
        parts = [
            perturb(images[at : at + chunk], labels[at : at + chunk], seeds[at] % _SEED_LIMIT)
            for at in range(0, len(images), chunk)
        ]
    return torch.cat(parts).detach()


def as_module(model: Classifier) -> nn.Module:
    """Return the classifier as the module that both libraries ask for, in evaluation mode."""
    return (model if isinstance(model, nn.Module) else _Module(model)).eval()


class _Module(nn.Module):
    def __init__(self, function: Classifier) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)
