"""Linear centred kernel alignment (CKA) between the blocks of two towers."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from radapt.analysis.taps import inputs_for, tapped
from radapt.layout import block_paths, has_part, layout_of

Tokens = Literal["flat", "mean", "class"]
_POOL: Mapping[Tokens, Callable[[Tensor], Tensor]] = {
    "flat": lambda output: output.flatten(1),
    "mean": lambda output: output.mean(1),
    "class": lambda output: output[:, 0],
}
MIN_IMAGES = 4  # minimum number of images of the unbiased estimator


@torch.no_grad()
def cka(
    first: nn.Module,
    second: nn.Module,
    batches: Iterable[Tensor],
    *,
    tokens: Tokens = "flat",
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> NDArray[np.float64]:
    """Return the CKA similarity of each block of one tower to each block of another.

    Mini-batch CKA (Nguyen et al. 2021, arXiv:2010.15327): the unbiased estimator of HSIC
    (Song et al. 2012) is averaged over batches, weighted by their number of images, before the
    ratio `HSIC(K,L) / sqrt(HSIC(K,K) HSIC(L,L))` is taken. The expectation does not depend on
    the batch size. Only a `[b,b]` kernel per block is stored for a batch of b images, so memory
    does not grow with the number of batches.

    Args:
        first: A vision tower; its blocks are the rows.
        second: A vision tower; its blocks are the columns. It may be `first`.
        batches: Batches of images `[b,3,h,w]` in [0,1]. Batches of fewer than 4 are skipped.
        tokens: Features of a block. `flat`: all tokens concatenated, as in Nguyen et al. and
            Raghu et al. (2021, arXiv:2108.08810), so positions matter; `mean`: the mean over
            tokens; `class`: the class token. R-Adapt's paper does not state its choice.
        mean: Mean of the towers' normalisation per channel; None for each tower's own.
        std: Standard deviation of the towers' normalisation per channel; None for their own.

    Returns:
        Similarities `[blocks of first, blocks of second]`: 1 for features that are equal up to
        rotation and scale, 0 for unrelated features. The estimator's noise may exceed [0,1].

    Raises:
        TypeError: A tower's layout is not known.
        ValueError: No batch has 4 images, or a tower has no class token.
    """
    grams: list[list[Tensor]] = [[], []]
    towers = (first,) if second is first else (first, second)
    probes = [_probe(tower, kept, tokens) for tower, kept in zip(towers, grams, strict=False)]
    across: Tensor | float = 0.0
    within: list[Tensor | float] = [0.0, 0.0]
    for images in batches:
        if len(images) < MIN_IMAGES:
            continue
        for probe, kept in zip(probes, grams, strict=False):
            kept.clear()
            probe(inputs_for(probe, images, mean, std))
        ours = torch.stack(grams[0])
        theirs = torch.stack(grams[1]).to(ours.device) if grams[1] else ours
        across = across + len(images) * _hsic(ours, theirs)
        for side, kernels in enumerate((ours, theirs)):
            within[side] = within[side] + len(images) * _hsic(kernels, kernels).diagonal()
    if not isinstance(across, Tensor):
        raise ValueError(f"batches: no batch has {MIN_IMAGES} or more images, which CKA needs")
    rows, columns = (torch.as_tensor(value) for value in within)
    ratio: NDArray[np.float64] = (across / (rows[:, None] * columns).sqrt()).cpu().numpy()
    return ratio


def _probe(tower: nn.Module, kept: list[Tensor], tokens: Tokens) -> nn.Module:
    if tokens == "class" and not has_part(tower, layout_of(tower).class_token):
        raise ValueError(f"tokens: got 'class'; {type(tower).__name__} has no class token")
    keep = partial(_keep_gram, kept, tokens)
    return tapped(tower, dict.fromkeys(block_paths(tower), keep))


def _keep_gram(kept: list[Tensor], tokens: Tokens, output: Tensor) -> None:
    """Append the kernel `[b,b]` of a block's output, with a zero diagonal for the estimator."""
    features = _POOL[tokens](output).float()
    # HSIC does not depend on the mean. But a few features of CLIP are very large in every image,
    # and in fp32 the differences between images would be lost in their squares.
    features = features - features.mean(0)
    kept.append((features @ features.T).double().fill_diagonal_(0))


def _hsic(left: Tensor, right: Tensor) -> Tensor:
    """Return the unbiased HSIC of each pair of zero-diagonal kernels: `[i,n,n]`, `[j,n,n]`."""
    n = left.shape[-1]
    left_rows, right_rows = left.sum(-1), right.sum(-1)
    trace = left.flatten(1) @ right.flatten(1).T
    totals = left_rows.sum(-1)[:, None] * right_rows.sum(-1)
    shared = left_rows @ right_rows.T
    return (trace + totals / ((n - 1) * (n - 2)) - 2 * shared / (n - 2)) / (n * (n - 3))
