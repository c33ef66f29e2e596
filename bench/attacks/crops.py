"""Random crops, one per image and step, that change with nothing else."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def cropped(images: Tensor, seeds: Tensor, steps: Tensor, least: float) -> Tensor:
    """Cut a box out of each image and bring it back to the image's size; differentiable.

    Height and width of the box are each a random share of the image's, from `least` to 1. Pixels
    are interpolated by two products with matrices, whose gradient is the same on every run; that
    of torch's own interpolation is not, on an accelerator.

    Args:
        images: `[b,3,h,w]`.
        seeds: Of each image, `[b]`.
        steps: Which crop of it, `[b]`.
        least: The smallest share of either side, above 0 and at most 1.
    """
    height, width = images.shape[-2:]
    pairs = zip(seeds.tolist(), steps.tolist(), strict=True)
    drawn = np.stack([np.random.default_rng(pair).random(4) for pair in pairs])
    rows = _resampling(height, drawn[:, 0], drawn[:, 2], least).to(images)
    columns = _resampling(width, drawn[:, 1], drawn[:, 3], least).to(images)
    return torch.einsum("bij,bcjk,blk->bcil", rows, images, columns)


def _resampling(
    size: int, share: NDArray[np.float64], place: NDArray[np.float64], least: float
) -> Tensor:
    """Return what stretches a part of a line of pixels to the whole line, `[b,size,size]`.

    Args:
        size: Pixels of the line.
        share: Of the line, drawn from 0 to 1 for each part.
        place: Where the part begins, from 0 (at the start) to 1 (so that it ends at the end).
        least: The smallest share.
    """
    length = np.floor(size * (least + (1 - least) * share)).clip(1, size)
    start = np.floor(place * (size - length + 1)).clip(0, size - length)
    centres = (np.arange(size) + 0.5)[None] * (length / size)[:, None] - 0.5
    centres = centres.clip(0, (length - 1)[:, None]) + start[:, None]
    weights = 1 - np.abs(centres[:, :, None] - np.arange(size)[None, None])
    return torch.from_numpy(weights.clip(0, 1))
