"""Attention maps of a tower, as heat maps, and their dependence on the image."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from radapt.analysis.taps import inputs_for, output_of
from radapt.layout import block_paths, has_part, layout_of

Query = Literal["class", "patches"]


@torch.no_grad()
def attention_weights(
    tower: nn.Module,
    images: Tensor,
    *,
    block: int = 1,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Tensor:
    """Return a block's attention weights: `softmax(q k^T / sqrt(width of a head))`.

    They are computed from the attention module's input and weights, because fused kernels do not
    return them. Later blocks are not run.

    Args:
        tower: A vision tower, adapted or not.
        images: Images `[b,3,h,w]` in [0,1].
        block: Number of the block, from 1 at the input.
        mean: Mean of the tower's normalisation per channel; None for the tower's own.
        std: Standard deviation of the tower's normalisation per channel; None for its own.

    Returns:
        Attention weights `[b,heads,n,n]` in fp32; they sum to 1 over the last axis, the keys.

    Raises:
        TypeError: The tower's layout is not known, or its attention has more parts, such as
            rotary positions.
        ValueError: The block does not exist.
    """
    paths = block_paths(tower)
    if not 1 <= block <= len(paths):
        raise ValueError(f"block: got {block}; allowed are 1 to {len(paths)}")
    norm, attention, *_ = layout_of(tower).attention
    path = paths[block - 1]
    _check_plain(tower, tower.get_submodule(f"{path}.{attention}"))
    tokens = output_of(tower, f"{path}.{norm}", inputs_for(tower, images, mean, std))
    module: Any = tower.get_submodule(f"{path}.{attention}")
    queries, keys = (_by_head(x, module.num_heads) for x in _queries_and_keys(module, tokens))
    if hasattr(module, "q_norm"):  # timm; usually the identity
        queries, keys = module.q_norm(queries), module.k_norm(keys)
    logits = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
    weights: Tensor = logits.softmax(dim=-1, dtype=torch.float32)
    return weights


def _check_plain(tower: nn.Module, attention: nn.Module) -> None:
    """Raise TypeError unless attention is a softmax of the product of queries and keys alone.

    Rotary or relative positions, for example, change the product.
    """
    trunk = getattr(tower, "trunk", None)
    plain = isinstance(attention, nn.MultiheadAttention)
    if trunk is not None:
        plain = type(trunk).__name__ == "VisionTransformer"
    elif has_part(attention, "q_proj"):  # of transformers; rotary kinds name it o_proj
        plain = has_part(attention, "out_proj")
    if not plain:
        kind = type(tower if trunk is None else trunk).__name__
        raise TypeError(
            f"attention maps of {kind} are not supported: its attention is more than the softmax "
            "of queries and keys"
        )


def _queries_and_keys(attention: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(attention, nn.MultiheadAttention):
        width = attention.embed_dim
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        rows = slice(0, 2 * width)  # queries and keys; the values' rows follow
        joint = F.linear(tokens, weight[rows], None if bias is None else bias[rows])
        return joint[..., :width], joint[..., width:]
    if hasattr(attention, "qkv"):  # timm
        queries, keys, _ = attention.qkv(tokens).chunk(3, dim=-1)
        return queries, keys
    return attention.q_proj(tokens), attention.k_proj(tokens)


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """Split `[b,n,d]` into `[b,heads,n,d / heads]`."""
    split: Tensor = tokens.unflatten(-1, (heads, -1))
    return split.transpose(1, 2)


def heat_map(weights: Tensor, size: tuple[int, int], *, query: Query = "class") -> Tensor:
    """Return attention over the patches of an image, averaged over heads.

    R-Adapt's paper does not state the query of its figure and how heads are combined.

    Args:
        weights: Attention weights `[b,heads,n,n]` from `attention_weights`, of square images.
        size: Height and width of the map in pixels.
        query: `class` for the attention of the class token, `patches` for the mean over patches.

    Returns:
        Maps `[b,height,width]`: the attention weight per patch, in [0,1], resized bilinearly. The
        attention to the class token is left out.

    Raises:
        ValueError: The patches do not form a square, or the tower has no class token.
    """
    tokens = weights.shape[-1]
    side = math.isqrt(tokens)
    extra = tokens - side * side
    if extra > 1:
        raise ValueError(
            f"weights: got {tokens} tokens; allowed: a square number of patches, with or without "
            "a class token"
        )
    if query == "class" and not extra:
        raise ValueError("query: got 'class'; the tower has no class token, use 'patches'")
    over_heads = weights.mean(1)
    rows = over_heads[:, 0] if query == "class" else over_heads[:, extra:].mean(1)
    grid = rows[:, extra:].unflatten(-1, (1, side, side))
    return F.interpolate(grid, size, mode="bilinear", align_corners=False)[:, 0]


@torch.no_grad()
def input_dependence(
    tower: nn.Module,
    batches: Iterable[Tensor],
    *,
    block: int = 1,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> NDArray[np.float64]:
    """Return, per head, how much a block's attention differs between images.

    This is the Jensen-Shannon divergence in bits between the attention weights of a query in two
    images, averaged over all queries (with the class token) and over all pairs of images in a
    batch. It is 0 if attention does not depend on the image, as R-Adapt's paper finds for the
    first block of robust towers, and 1 if no key has attention in both images.

    Args:
        tower: A vision tower, adapted or not.
        batches: Batches of images `[b,3,h,w]` in [0,1]. Pairs are formed within a batch, so a
            batch should have images of different classes. Memory is a few times
            `[b,heads,n,n]`.
        block: Number of the block, from 1 at the input.
        mean: Mean of the tower's normalisation per channel; None for the tower's own.
        std: Standard deviation of the tower's normalisation per channel; None for its own.

    Returns:
        Divergence per head `[heads]` in [0,1].

    Raises:
        TypeError: The tower's layout is not known.
        ValueError: The block does not exist, or no batch has two images.
    """
    total: Tensor | float = 0.0
    pairs = 0
    for images in batches:
        weights = attention_weights(tower, images, block=block, mean=mean, std=std)
        entropies = _entropy(weights)
        for one in range(len(weights) - 1):
            others = slice(one + 1, None)
            mixed = _entropy((weights[one] + weights[others]) / 2)
            divergence = mixed - (entropies[one] + entropies[others]) / 2
            total = total + divergence.double().mean(-1).sum(0)
            pairs += len(divergence)
    if not isinstance(total, Tensor):
        raise ValueError("batches: no batch has two or more images")
    result: NDArray[np.float64] = (total / pairs).clamp(min=0).cpu().numpy()
    return result


def _entropy(distributions: Tensor) -> Tensor:
    """Return the entropy along the last axis, in bits."""
    nats: Tensor = torch.special.entr(distributions).sum(-1)
    return nats / math.log(2)
