"""Smoothing with Gaussian noise: the mean embedding of noisy copies."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from radapt.defences.defence import Base, Defence, Gradient


@dataclass(frozen=True, slots=True)
class NoiseSmoothing(Defence):
    """Average the unit embeddings of noisy copies of an image.

    After randomised smoothing (Cohen et al. 2019, arXiv:1902.02918), which lets noisy copies vote
    on the class; a mean of embeddings needs no classes, and gives no certificate.

    Attributes:
        sigma: Standard deviation of the noise in [0,1] pixels; 0 for no noise.
        draws: Number of noisy copies.
    """

    random: ClassVar[bool] = True
    gradients: ClassVar[tuple[Gradient, ...]] = ("exact", "base")

    sigma: float
    draws: int

    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return the mean unit embeddings `[b,d]`."""
        copies = images.repeat_interleave(self.draws, dim=0)
        noisy = copies + self.sigma * torch.randn_like(copies)
        return base.unit(noisy).view(len(images), self.draws, -1).mean(dim=1)
