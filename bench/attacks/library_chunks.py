"""Helpers for the adapters over pyautoattack and torchattacks.

These libraries draw random numbers per batch, so the size of a chunk changes their result. So the
chunk size is part of the cell's identity, and each chunk uses the seed of its first image.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.core.types import Classifier, Norm

Perturb = Callable[[Tensor, Tensor, int], Tensor]
NORMS: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}  # the names in both libraries
_SEED_LIMIT = 2**32  # numpy and the libraries accept smaller seeds only


def in_chunks(
    perturb: Perturb, images: Tensor, labels: Tensor, seeds: Sequence[int], chunk: int
) -> Tensor:
    """Call `perturb(images, labels, seed)` on each chunk and return all adversarial images.

    The state of torch's global random generators is restored afterwards.
    """
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # both libraries seed the global generator
        parts = [
            perturb(images[at : at + chunk], labels[at : at + chunk], seeds[at] % _SEED_LIMIT)
            for at in range(0, len(images), chunk)
        ]
    return torch.cat(parts).detach()


def as_module(model: Classifier) -> nn.Module:
    """Return the classifier as a torch module in evaluation mode, which both libraries need."""
    return (model if isinstance(model, nn.Module) else _Module(model)).eval()


class MeanOfPasses(nn.Module):
    """A random classifier whose logits are averaged over several passes."""

    def __init__(self, module: nn.Module, passes: int) -> None:
        """Wrap a classifier."""
        super().__init__()
        self.module = module
        self.passes = passes

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits `[b,k]` of images `[b,3,h,w]`."""
        return torch.stack([self.module(images) for _ in range(self.passes)]).mean(dim=0)


class _Module(nn.Module):
    def __init__(self, function: Classifier) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)
