"""Fewer bits per channel in front of the model."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from radapt.defences.defence import Base, Gradient, ImageDefence


@dataclass(frozen=True, slots=True)
class BitDepth(ImageDefence):
    """Round each channel to `2^bits` equidistant values (Guo et al. 2018, arXiv:1711.00117).

    Rounding has no gradient, so gradients are straight-through.

    Attributes:
        bits: Bits per channel; 3 in the paper.
    """

    gradients: ClassVar[tuple[Gradient, ...]] = ("identity", "base")

    bits: int = 3

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the rounded images `[b,3,h,w]`."""
        levels = 2**self.bits - 1
        return torch.round(images * levels).div(levels)
