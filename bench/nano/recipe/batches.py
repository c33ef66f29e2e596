"""Seeded batches over several training sets: batch t depends only on (seed, t).

So a resumed run has the same batches without a stored sampler state.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.nano.recipe.captions import templates
from bench.nano.recipe.rawdata import load_raw

MIRRORED = ("cifar10", "cifar100", "fashion-mnist")  # a mirrored digit is no longer a digit
PAD = 4  # pixels of random shift, as in the usual CIFAR augmentation


@dataclass(frozen=True, slots=True)
class Pool:
    """Training images of several sets; classes are numbered across all sets.

    Attributes:
        images: `[n,3,32,32]`, uint8.
        classes: Global class number of each image, `[n]`.
        mirrored: Whether an image may be flipped, `[n]`, bool.
        captions: Possible captions of each global class.
        sets: Rows of each set, `(start, stop)`.
    """

    images: Tensor
    classes: Tensor
    mirrored: Tensor
    captions: tuple[tuple[str, ...], ...]
    sets: tuple[tuple[int, int], ...]


def load_pool(names: tuple[str, ...], folder: Path | None) -> Pool:
    """Load the train splits of several sets into one pool."""
    images, classes, mirrored, sets = [], [], [], []
    captions: list[tuple[str, ...]] = []
    start = 0
    for name in names:
        raw = load_raw(name, "train", folder)
        images.append(torch.from_numpy(raw.images.copy()))
        classes.append(torch.from_numpy(raw.labels) + len(captions))
        mirrored.append(torch.full((len(raw.labels),), name in MIRRORED))
        captions += [tuple(text.replace("{c}", c) for text in templates(name)) for c in raw.classes]
        sets.append((start, start + len(raw.labels)))
        start += len(raw.labels)
    return Pool(
        torch.cat(images), torch.cat(classes), torch.cat(mirrored), tuple(captions), tuple(sets)
    )


def batch_rows(
    pool: Pool, weights: tuple[float, ...], size: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Return the rows `[size]` of batch `step`, with a fixed share of each set.

    The images of a set are used equally often: its rows follow a random permutation, and a new
    permutation is drawn after each pass through the set.
    """
    shares = np.array(weights) / sum(weights) * size
    counts = np.floor(shares).astype(int)
    counts[0] += size - counts.sum()
    rows = []
    for index, ((start, stop), count) in enumerate(zip(pool.sets, counts, strict=True)):
        positions = np.arange(step * count, (step + 1) * count)
        passes, offsets = np.divmod(positions, stop - start)
        for number in np.unique(passes):
            order = np.random.default_rng((seed, index, number)).permutation(stop - start)
            rows.append(start + order[offsets[passes == number]])
    return np.concatenate(rows)


def augment(images: Tensor, mirrored: Tensor, rng: np.random.Generator) -> Tensor:
    """Flip and shift uint8 images `[b,3,h,w]` at random, and return floats in [0,1]."""
    count, _, height, width = images.shape
    flip = torch.from_numpy(rng.random(count) < 0.5).to(images.device) & mirrored
    pixels = torch.where(flip[:, None, None, None], images.flip(3), images).float() / 255
    padded = F.pad(pixels, (PAD, PAD, PAD, PAD), mode="reflect")
    shift = torch.from_numpy(rng.integers(0, 2 * PAD + 1, (2, count))).to(images.device)
    rows = shift[0][:, None] + torch.arange(height, device=images.device)
    columns = shift[1][:, None] + torch.arange(width, device=images.device)
    picked = padded.gather(2, rows[:, None, :, None].expand(count, 3, height, width + 2 * PAD))
    return picked.gather(3, columns[:, None, None, :].expand(count, 3, height, width))
