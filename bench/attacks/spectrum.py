"""Steps that know of a Gaussian low-pass filter in front of the model."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bench.attacks.balls import length, steepest
from bench.core.types import Norm

CUTOFF_AT = 224  # the image size that cutoffs are frequency offsets of, as in `radapt`


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The filter G = exp(-D² / (2 D0²)) as an attacker uses it; G is symmetric.

    Without `inverse` a perturbation is G z, and z takes the steepest step: along the gradient with
    respect to z, which is G times that of the image. So the step is in the band that the filter
    passes; clipping to the ball and the box adds other frequencies again.

    With `inverse` the gradient is divided by G. What the chain rule has multiplied by G is as if
    there were no filter, but for frequencies where G² is below `inverse`, at which the quotient
    G / (G² + inverse) (Tikhonov) goes to zero in place of infinity.

    Attributes:
        cutoff: D0, in frequency offsets of an image of 224 pixels; it scales with the image that is
            attacked, as `radapt.filters.GaussianFilter` does with the one that it filters.
        inverse: What keeps the quotient finite; None for the filter itself.
    """

    cutoff: float
    inverse: float | None = None

    def start(self, noise: Tensor) -> Tensor:
        """Return random points `[b,3,h,w]`, within the band where the perturbation is."""
        return noise if self.inverse else self.applied(noise)

    def steepest(self, gradients: Tensor, norm: Norm) -> Tensor:
        """Return the steps `[b,3,h,w]` of length 1 for gradients of the loss; zero stays zero."""
        direction = steepest(self.applied(gradients), norm)
        if self.inverse:
            return direction
        step = self.applied(direction)
        reach = length(step, norm).clamp_min(torch.finfo(step.dtype).tiny)
        return step / reach[:, None, None, None]

    def applied(self, images: Tensor) -> Tensor:
        """Multiply the spectra of images `[b,3,h,w]` by `response`."""
        height, width = images.shape[-2:]
        gain = response(self.cutoff, self.inverse, height, width, images.device)
        found: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * gain, s=(height, width))
        return found


@cache
def response(
    cutoff: float, inverse: float | None, height: int, width: int, device: torch.device
) -> Tensor:
    """Return G, or G / (G² + inverse), at the frequencies of `rfft2`, `[h, w // 2 + 1]`."""
    limit = cutoff / CUTOFF_AT  # in cycles per pixel
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    passed = torch.exp(-(rows**2 + columns**2) / (2 * limit**2))
    found = passed / (passed**2 + inverse) if inverse else passed
    return found.float().to(device)
