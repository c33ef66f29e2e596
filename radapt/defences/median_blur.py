"""Median filter in front of the model (feature squeezing)."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, ImageDefence


@dataclass(frozen=True, slots=True)
class MedianBlur(ImageDefence):
    """Replace each pixel by the median of its neighbourhood, per channel.

    Xu et al. 2018 (Feature Squeezing, arXiv:1704.01155) use windows of 2 pixels on ImageNet; of an
    even number of values, the upper median counts, as in scipy. Borders are repeated.

    Attributes:
        kernel: Width of the window in pixels; 1 for no filter. An even window reaches one pixel
            further up and left than down and right.
    """

    kernel: int = 2

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the filtered images `[b,3,h,w]`."""
        before, after = self.kernel // 2, (self.kernel - 1) // 2
        padded = F.pad(images, (before, after, before, after), mode="replicate")
        windows = padded.unfold(2, self.kernel, 1).unfold(3, self.kernel, 1).flatten(-2)
        return windows.kthvalue(self.kernel**2 // 2 + 1, dim=-1).values
