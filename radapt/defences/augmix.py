"""AugMix: an image mixed with chains of operations on it (Hendrycks et al. 2020, 1912.02781).

Written for images in [0,1] and differentiable. The operations are Pillow's, at the strength that
TomSheng21/R-TPT uses, severity 1, without Pillow's rounding to 8 bits after each.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.perspective import sampling_grid

_CHAINS, _LONGEST = 3, 3
_DEGREES, _SHEAR, _SHIFT = 3.0, 0.03, 1 / 30  # at level 1; the shift is a share of the side
_POSTERIZED = 4  # bits; severity 1 takes none of them away
_LEVELS = 255


def augmix(image: Tensor) -> Tensor:
    """Return an image `[3,h,w]` mixed with the weighted mean of three chains of operations.

    Each chain has one to three operations. The weights are uniform on the simplex, and the share
    of the image itself is uniform in [0,1]. Random numbers come from torch's global generator.
    """
    weights = -torch.rand(_CHAINS).clamp_min(1e-30).log()
    share = float(torch.rand(()))
    mixed = torch.zeros_like(image)
    for weight in (weights / weights.sum()).tolist():
        chained = image
        for _ in range(int(torch.randint(1, 1 + _LONGEST, ()))):
            operation = OPERATIONS[int(torch.randint(len(OPERATIONS), ()))]
            level, sign = 0.1 + 0.9 * float(torch.rand(())), float(torch.randint(2, ())) * 2 - 1
            chained = operation(chained, level, sign)
        mixed = mixed + weight * chained
    return share * image + (1 - share) * mixed


def autocontrast(image: Tensor, level: float, sign: float) -> Tensor:
    """Stretch each channel to [0,1]."""
    least, most = (pick(image, dim=(1, 2), keepdim=True) for pick in (torch.amin, torch.amax))
    flat = least == most
    return torch.where(flat, image, (image - least) / torch.where(flat, 1.0, most - least))


def equalize(image: Tensor, level: float, sign: float) -> Tensor:
    """Make the histogram of each channel uniform; its gradient is the identity's."""
    pixels = _rounded(image)
    channels = []
    for channel in pixels.flatten(1):
        histogram = torch.bincount(channel, minlength=1 + _LEVELS)
        last = histogram[histogram > 0][-1]
        step = int(channel.numel() - last) // _LEVELS
        table = torch.arange(1 + _LEVELS, device=image.device)
        if step:
            below = histogram.cumsum(0) - histogram
            table = ((step // 2 + below) // step).clamp(max=_LEVELS)
        channels.append(table[channel])
    return _straight_through(image, torch.stack(channels).view_as(pixels))


def posterize(image: Tensor, level: float, sign: float) -> Tensor:
    """Keep the upper bits of each pixel; the gradient is the identity's."""
    coarse = 1 << (8 - _POSTERIZED)
    return _straight_through(image, _rounded(image) // coarse * coarse)


def solarize(image: Tensor, level: float, sign: float) -> Tensor:
    """Invert the brightest pixels."""
    first = 256 - int(level * 25.6)
    return torch.where(image * _LEVELS >= first - 0.5, 1 - image, image)


def rotate(image: Tensor, level: float, sign: float) -> Tensor:
    """Rotate by whole degrees around the centre."""
    angle = math.radians(sign * int(level * _DEGREES))
    height, width = image.shape[1:]
    cosine, sine, x, y = math.cos(angle), math.sin(angle), width / 2, height / 2
    across, down = x - cosine * x + sine * y, y - sine * x - cosine * y
    return _moved(image, [[cosine, -sine, across], [sine, cosine, down]])


def shear_x(image: Tensor, level: float, sign: float) -> Tensor:
    """Shear along the rows."""
    return _moved(image, [[1, sign * level * _SHEAR, 0], [0, 1, 0]])


def shear_y(image: Tensor, level: float, sign: float) -> Tensor:
    """Shear along the columns."""
    return _moved(image, [[1, 0, 0], [sign * level * _SHEAR, 1, 0]])


def translate_x(image: Tensor, level: float, sign: float) -> Tensor:
    """Shift by whole pixels along the rows."""
    return _moved(image, [[1, 0, sign * int(level * _SHIFT * image.shape[2])], [0, 1, 0]])


def translate_y(image: Tensor, level: float, sign: float) -> Tensor:
    """Shift by whole pixels along the columns."""
    return _moved(image, [[1, 0, 0], [0, 1, sign * int(level * _SHIFT * image.shape[1])]])


# Each maps an image `[3,h,w]`, a level in [0.1,1] and a direction, 1 or -1, to an image.
OPERATIONS: tuple[Callable[[Tensor, float, float], Tensor], ...] = (
    autocontrast,
    equalize,
    posterize,
    rotate,
    solarize,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)


def _rounded(image: Tensor) -> Tensor:
    """Return pixels in 8 bits, as integers."""
    return (image.detach() * _LEVELS).round().long().clamp(0, _LEVELS)


def _straight_through(image: Tensor, pixels: Tensor) -> Tensor:
    """Return pixels of 8 bits in [0,1], with the gradient of the image."""
    return pixels.to(image) / _LEVELS + (image - image.detach())


def _moved(image: Tensor, rows: list[list[float]]) -> Tensor:
    """Return an image whose pixels come from the places to which a map takes them; else black."""
    grid = sampling_grid(image[None], image.new_tensor([[*rows, [0, 0, 1]]]))
    inside = ((grid >= -1) & (grid < 1)).all(dim=-1)
    found = F.grid_sample(
        image[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[0] * inside
