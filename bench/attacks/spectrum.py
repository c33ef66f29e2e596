"""Attack steps adapted to a Gaussian low-pass filter in front of the model."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bench.attacks.balls import length, steepest
from bench.core.types import Norm

CUTOFF_AT = 224  # image size, in pixels, at which cutoffs are given, as in `radapt`


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The filter G = exp(-D² / (2 D0²)), used to shape the steps of an attack; G is symmetric.

    Without `inverse`, the perturbation is G z and the attack takes steepest steps in z. The
    gradient with respect to z is G times the gradient with respect to the image. So each step lies
    in the band that the filter passes; clipping to the ball and to [0,1] adds other frequencies.

    With `inverse`, the gradient is divided by G, which undoes the factor G of the chain rule, as if
    there were no filter. The quotient is regularised (Tikhonov): G / (G² + inverse) goes to zero
    instead of infinity at frequencies where G² is below `inverse`.

    Attributes:
        cutoff: D0, in frequency offsets of an image of 224 pixels. It scales with the size of the
            attacked image, as in `radapt.filters.GaussianFilter`.
        inverse: Regularisation of the quotient, above 0; None applies the filter itself.
    """

    cutoff: float
    inverse: float | None = None

    def start(self, noise: Tensor) -> Tensor:
        """Return random start perturbations `[b,3,h,w]`, filtered like the perturbation."""
        return noise if self.inverse else self.applied(noise)

    def steepest(self, gradients: Tensor, norm: Norm) -> Tensor:
        """Return steps `[b,3,h,w]` of norm 1 for gradients of the loss; zero stays zero."""
        direction = steepest(self.applied(gradients), norm)
        if self.inverse:
            return direction
        step = self.applied(direction)
        reach = length(step, norm).clamp_min(torch.finfo(step.dtype).tiny)
        return step / reach[:, None, None, None]

    def applied(self, images: Tensor) -> Tensor:
        """Multiply the spectra of images `[b,3,h,w]` by `response`, and return the images."""
        height, width = images.shape[-2:]
        gain = response(self.cutoff, self.inverse, height, width, images.device)
        found: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * gain, s=(height, width))
        return found


@cache
def response(
    cutoff: float, inverse: float | None, height: int, width: int, device: torch.device
) -> Tensor:
    """Return G, or G / (G² + inverse), at the frequencies of `rfft2`, `[h, w // 2 + 1]`."""
    cycles = cutoff / CUTOFF_AT  # per pixel
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    passed = torch.exp(-(rows**2 + columns**2) / (2 * cycles**2))
    found = passed / (passed**2 + inverse) if inverse else passed
    return found.float().to(device)
