"""Random crops that depend only on the image's seed and the step."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def random_crops(images: Tensor, seeds: Tensor, steps: Tensor, least: float) -> Tensor:
    """Crop a random box from each image and resize it to the image's size; differentiable.

    The height and the width of the box are independent random shares of the image's height and
    width, from `least` to 1. Two matrix products interpolate the pixels (bilinear), because their
    gradient is deterministic; the gradient of torch's interpolation is not, on a GPU.

    Args:
        images: `[b,3,h,w]`.
        seeds: Random seed of each image, `[b]`.
        steps: Index of the crop for each image, `[b]`.
        least: Smallest share of the height and of the width, in (0,1].
    """
    height, width = images.shape[-2:]
    pairs = zip(seeds.tolist(), steps.tolist(), strict=True)
    drawn = np.stack([np.random.default_rng(pair).random(4) for pair in pairs])
    rows = _crop_matrices(height, drawn[:, 0], drawn[:, 2], least).to(images)
    columns = _crop_matrices(width, drawn[:, 1], drawn[:, 3], least).to(images)
    return torch.einsum("bij,bcjk,blk->bcil", rows, images, columns)


def _crop_matrices(
    size: int, share: NDArray[np.float64], place: NDArray[np.float64], least: float
) -> Tensor:
    """Return matrices that crop and resize along one axis, `[b,size,size]`.

    Args:
        size: Number of pixels along the axis.
        share: Random numbers in [0,1), `[b]`, which set the length of each crop.
        place: Random numbers in [0,1), `[b]`, which set where each crop starts.
        least: Smallest share of the axis that a crop covers.
    """
    length = np.floor(size * (least + (1 - least) * share)).clip(1, size)
    start = np.floor(place * (size - length + 1)).clip(0, size - length)
    centres = (np.arange(size) + 0.5)[None] * (length / size)[:, None] - 0.5
    centres = centres.clip(0, (length - 1)[:, None]) + start[:, None]
    weights = 1 - np.abs(centres[:, :, None] - np.arange(size)[None, None])
    return torch.from_numpy(weights.clip(0, 1))
