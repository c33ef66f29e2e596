"""Gaussian blur in front of the model."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, ImageDefence


@dataclass(frozen=True, slots=True)
class GaussianBlur(ImageDefence):
    """Convolve each channel with a normalised Gaussian window; borders are mirrored.

    The defaults are those of juancprzs/TTE (`gauss_k5_s1`).

    Attributes:
        kernel: Width of the window in pixels, odd; 1 for no blur.
        sigma: Standard deviation in pixels, above 0.
    """

    kernel: int = 5
    sigma: float = 1.0

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the blurred images `[b,3,h,w]`."""
        half = self.kernel // 2
        offsets = torch.arange(-half, half + 1, device=images.device, dtype=images.dtype)
        window = torch.softmax(-(offsets**2) / (2 * self.sigma**2), dim=0)
        channels = images.shape[1]
        rows = window.view(1, 1, -1, 1).repeat(channels, 1, 1, 1)
        padded = F.pad(images, (half, half, half, half), mode="reflect")
        smooth = F.conv2d(padded, rows, groups=channels)
        return F.conv2d(smooth, rows.transpose(2, 3), groups=channels)
