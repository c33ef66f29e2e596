"""Differentiable resizing of 8-bit images, equal to that of image processors bit by bit."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

_CUBIC = -0.5  # coefficient of the bicubic kernel with antialiasing, as in PIL
_WEIGHT_BITS = 15  # magnitude bits of an integer weight
_MOST_BITS = 22  # largest number of fractional bits of a weight


def resize_bits(images: Tensor, size: tuple[int, int], kernel: str = "bicubic") -> Tensor:
    """Resize images `[...,h,w]` in [0,255] like torchvision resizes 8-bit images on a CPU.

    A processor of transformers resizes a user's image in this way: with antialiasing, in integer
    arithmetic; first along the rows, with rounding and clamping to 8 bits, then along the
    columns. For integer values the result is equal bit by bit on every device, because sums of
    integers below 2^53 are exact in float64, in any order. Other values go through the same
    operations. In the backward pass, rounding is the identity (straight-through) and clamped values
    have no gradient. An axis that already has the wanted length is not changed and not rounded, as
    in processors.

    Args:
        images: Pixels in [0,255].
        size: Wanted height and width, in pixels.
        kernel: One of `KERNELS`.
    """
    for axis, length in ((-1, size[1]), (-2, size[0])):
        if images.shape[axis] != length:
            matrix, bits = _weights(images.shape[axis], length, kernel, images.device)
            exact = images.double()
            sums = exact @ matrix.T if axis == -1 else matrix @ exact
            images = _rounded(sums / 2**bits).clamp(0, 255).to(images.dtype)
    return images


def _rounded(values: Tensor) -> Tensor:
    """Round to the nearest integer, halves up, with the gradient of the identity."""
    return values + (torch.floor(values + 0.5) - values).detach()


@lru_cache(maxsize=64)
def _weights(length: int, wanted: int, kernel: str, device: torch.device) -> tuple[Tensor, int]:
    """Return integer weights `[wanted,length]` for one axis, and their number of fractional bits.

    Args:
        length: Number of pixels along the axis.
        wanted: Number of pixels after the resize.
        kernel: One of `KERNELS`.
        device: Device of the weights.
    """
    radius, weigh = KERNELS[kernel]
    scale = length / wanted
    stretch = max(scale, 1.0)  # the kernel is widened where the image shrinks
    rows = torch.zeros(wanted, length, dtype=torch.float64)
    for place in range(wanted):
        centre = scale * (place + 0.5)
        first = max(int(centre - radius * stretch + 0.5), 0)
        last = min(int(centre + radius * stretch + 0.5), length)
        offsets = (torch.arange(first, last, dtype=torch.float64) - centre + 0.5) / stretch
        weights = weigh(offsets)
        rows[place, first:last] = weights / weights.sum()
    bits = 0
    while bits < _MOST_BITS and int(0.5 + float(rows.max()) * 2 ** (bits + 1)) < 2**_WEIGHT_BITS:
        bits += 1
    scaled = rows * 2**bits
    return torch.trunc(scaled + torch.where(scaled < 0, -0.5, 0.5)).to(device), bits


def _bilinear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CUBIC
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


# by torchvision's name: radius in pixels, and the weight at a distance
KERNELS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
