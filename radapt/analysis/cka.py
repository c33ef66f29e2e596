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
FEWEST = 4  # images that the unbiased estimator needs


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
    """Return how alike each block of one tower is to each of another, over the same images.

    Mini-batch CKA (Nguyen et al. 2021, arXiv:2010.15327): the unbiased estimator of HSIC
    (Song et al. 2012) is averaged over batches, weighted by their images, before the ratio
    `HSIC(K,L) / sqrt(HSIC(K,K) HSIC(L,L))` is taken. Its expectation does not depend on the
    size of a batch. Features do not outlive their block: a batch of b images leaves one
    `[b,b]` kernel per block, and nothing grows with the number of batches.

    Args:
        first: A vision tower; its blocks are the rows.
        second: A vision tower, the columns; it may be `first`.
        batches: Images `[b,3,h,w]` in [0,1]. A batch of fewer than 4 is left out.
        tokens: What a block's features are. `flat`: all tokens side by side, as Nguyen et
            al. and Raghu et al. (2021, arXiv:2108.08810) take them, so that position counts;
            `mean`: the mean over tokens; `class`: the class token. What the authors of
            R-Adapt took is not known.
        mean: Mean of the towers' normalisation, per channel; each one's own when not given.
        std: Deviation of the towers' normalisation, likewise.

    Returns:
        `[blocks of first, blocks of second]`: 1 for features alike up to rotation and
        scale, 0 for unrelated ones. Being an estimate it may leave [0,1] by its noise.

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
        if len(images) < FEWEST:
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
        raise ValueError(f"batches: none has {FEWEST} images, which the estimator needs")
    rows, columns = (torch.as_tensor(value) for value in within)
    ratio: NDArray[np.float64] = (across / (rows[:, None] * columns).sqrt()).cpu().numpy()
    return ratio


def _probe(tower: nn.Module, kept: list[Tensor], tokens: Tokens) -> nn.Module:
    if tokens == "class" and not has_part(tower, layout_of(tower).class_token):
        raise ValueError(f"tokens: got 'class'; {type(tower).__name__} has no class token")
    keep = partial(_keep_gram, kept, tokens)
    return tapped(tower, dict.fromkeys(block_paths(tower), keep))


def _keep_gram(kept: list[Tensor], tokens: Tokens, output: Tensor) -> None:
    """Append the kernel of a block's output: `[b,b]`, its diagonal zero as the estimator has it."""
    features = _POOL[tokens](output).float()
    # HSIC does not change with the mean, but a few features of CLIP are far larger than the
    # rest in every image, and their squares would drown the differences in single precision
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
