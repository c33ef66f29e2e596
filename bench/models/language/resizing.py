"""The resizing of 8-bit images as processors do it, to the last bit, with gradients."""

from functools import lru_cache

import torch
from torch import Tensor

_CUBIC = -0.5  # coefficient of the kernel where there is antialiasing, PIL's as well
_REACH = 2.0  # of the kernel, in pixels
_WEIGHT_BITS = 15  # of a weight with its sign
_MOST_BITS = 22  # after the point


def resize_bits(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images `[...,h,w]` in [0,255] as torchvision resizes 8-bit ones on a CPU.

    That is what a processor of transformers does with a user's image: bicubic with antialiasing,
    in integers; along the rows first, rounded and clamped to 8 bits, then along the columns. On
    images whose values are whole numbers the result is the same to the last bit, on every device:
    sums of products of whole numbers below 2^53 are exact in double precision, in any order.
    Images between such values are treated alike. Backwards, rounding counts as the identity
    (straight through) and what was clamped has no gradient. An axis that has its length already
    is left alone, unrounded, as processors do.
    """
    for axis, length in ((-1, size[1]), (-2, size[0])):
        if images.shape[axis] != length:
            weights, bits = _weights(images.shape[axis], length)
            matrix = weights.to(images.device)
            exact = images.double()
            sums = exact @ matrix.T if axis == -1 else matrix @ exact
            images = _rounded(sums / 2**bits).clamp(0, 255).to(images.dtype)
    return images


def _rounded(values: Tensor) -> Tensor:
    """Return the nearest whole numbers, halves upwards, with the gradient of the identity."""
    return values + (torch.floor(values + 0.5) - values).detach()


@lru_cache(maxsize=64)
def _weights(length: int, wanted: int) -> tuple[Tensor, int]:
    """Return whole weights `[wanted,length]` of a resize along an axis, and their binary places."""
    scale = length / wanted
    stretch = max(scale, 1.0)  # the kernel is widened where the image shrinks
    rows = torch.zeros(wanted, length, dtype=torch.float64)
    for place in range(wanted):
        centre = scale * (place + 0.5)
        first = max(int(centre - _REACH * stretch + 0.5), 0)
        last = min(int(centre + _REACH * stretch + 0.5), length)
        offsets = (torch.arange(first, last, dtype=torch.float64) - centre + 0.5) / stretch
        kernel = _kernel(offsets)
        rows[place, first:last] = kernel / kernel.sum()
    bits = 0
    while bits < _MOST_BITS and int(0.5 + float(rows.max()) * 2 ** (bits + 1)) < 2**_WEIGHT_BITS:
        bits += 1
    scaled = rows * 2**bits
    return torch.trunc(scaled + torch.where(scaled < 0, -0.5, 0.5)), bits


def _kernel(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CUBIC
    return torch.where(x < 1, near, torch.where(x < _REACH, far, torch.zeros_like(x)))
