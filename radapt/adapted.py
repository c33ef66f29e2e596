"""Adapt a frozen tower: filter its input, and mix an anchor into its first attention's output."""

import math

import torch
from torch import nn

from radapt.anchor import Anchor
from radapt.clone import clone_to
from radapt.filters import PAPER_SIZE, GaussianFilter
from radapt.grids import Grids, grids_of
from radapt.hooks import (
    GridMixer,
    GridPass,
    Mix,
    Mixer,
    PatchFilter,
    TileMixer,
    filter_pixels,
)
from radapt.layout import layout_of
from radapt.options import check_word
from radapt.per_grid import PerGrid
from radapt.tiles import tiles_of
from radapt.tower import (
    attention_path,
    describe,
    image_size,
    is_adapted,
    normalisation,
    normalise,
    prefix_tokens,
    token_grid,
    token_width,
)

__all__ = ["Mix", "adapt", "check_fits"]


def adapt(
    tower: nn.Module,
    anchor: Anchor | PerGrid,
    *,
    alpha: float,
    cutoff: float | None,
    mix: Mix = "interpolate",
    cutoff_at: int | None = PAPER_SIZE,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> nn.Module:
    """Return an adapted tower that shares the weights of `tower`, which is not changed.

    The first attention module's output A becomes `(1 - alpha) * A + alpha * R` with the
    anchor R, before the residual sum. The paper states a linear combination, most likely this
    form; `mix="add"` is the alternative, `A + alpha * R`. With `alpha=0` and no cutoff the
    outputs equal those of `tower` to the last bit.

    Args:
        tower: A vision tower. Its inputs are normalised pixels `[b,3,h,w]`, images of any size
            (`radapt.any_size`: Qwen-VL, SigLIP2-NaFlex, Pixtral) or tiles (`radapt.tiles`:
            Mllama). Each image or tile is filtered by itself. With images of any size each image's
            tokens get the anchor for the image's grid; each tile gets the same anchor.
        anchor: An anchor from `extract_anchor`, `fit_anchor` or a file, made for a tower of the
            same shape. A tower that takes patches also accepts a `PerGrid`, which is exact for
            every grid; an `Anchor` is interpolated to other grids.
        alpha: Strength of the anchor. The paper sweeps 0 to 2; R-Adapt+ has 0.8.
        cutoff: D0 of the input filter in frequency offsets at 224 pixels; None for no filter.
        mix: `interpolate` or `add`, see above.
        cutoff_at: Image size in pixels that `cutoff` refers to; None for the input's own size.
        mean: Mean of the tower's normalisation per channel; None for the tower's own
            (`radapt.tower.normalisation`).
        std: Standard deviation of the tower's normalisation per channel; None for its own.

    Raises:
        TypeError: The tower's layout is not known.
        ValueError: The anchor was made for a tower of another shape, the tower is already
            adapted, `mix` is not allowed, or a number is not finite.
    """
    check_word("mix", mix, Mix)
    for name, value in (("alpha", alpha), ("cutoff", cutoff)):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}: got {value}; allowed: a finite number")
    path = attention_path(tower)
    if is_adapted(tower):
        raise ValueError(f"this {type(tower).__name__} is adapted already; adapt its base tower")
    adapted, attention = clone_to(tower, path)
    device = next(tower.parameters()).device
    order = grids_of(tower)
    handles = []
    if alpha != 0:
        check_fits(anchor, tower)
        # buffers and hooks move and copy with the tower, and do not change its state dict
        if isinstance(anchor, Anchor):
            response = anchor.value.to(device)
            attention.register_buffer("radapt_anchor", response, persistent=False)
        mixer, tiles = Mixer(alpha, mix), tiles_of(tower)
        if order is not None:
            source = anchor if isinstance(anchor, PerGrid) else order.of(anchor.size)
            mixer = GridMixer(alpha, mix, order, source)
            handles.append(adapted.register_forward_pre_hook(GridPass(order), with_kwargs=True))
        elif tiles is not None:
            mixer = TileMixer(alpha, mix, tiles.tokens)
        handles.append(attention.register_forward_hook(mixer, with_kwargs=True))
    if cutoff is not None:
        # A Gaussian filter does not change constants, so it commutes with the normalisation;
        # only the bounds 0 and 1 of pixels must be normalised.
        adapted.radapt_filter = GaussianFilter(
            cutoff,
            at=cutoff_at,
            clamp=(_bounds(0.0, tower, mean, std), _bounds(1.0, tower, mean, std)),
            size=image_size(tower),
        ).to(device)
        smooth = filter_pixels if order is None else PatchFilter(order)
        handles.append(adapted.register_forward_pre_hook(smooth, with_kwargs=True))
    # Unpickling a handle reserves its number. In a new process numbers start again at 0, so
    # without the handles the next registered hook would replace these.
    vars(adapted)["radapt_handles"] = handles
    return adapted


def check_fits(anchor: Anchor | PerGrid, tower: nn.Module) -> None:
    """Raise ValueError if an anchor's shape or image size differs from the tower's."""
    order = grids_of(tower)
    if isinstance(anchor, PerGrid):
        if order is None or token_width(tower) != token_width(anchor.source):
            raise ValueError(f"anchors of {anchor.tower} do not fit {describe(tower)}")
        return
    if order is not None:
        _check_grid(anchor, tower, order)
        return
    size = anchor.size if layout_of(tower).resizes else image_size(tower)
    rows, columns = token_grid(tower, size)
    expected = (1, prefix_tokens(tower) + rows * columns, token_width(tower))
    if tuple(anchor.value.shape) == expected and anchor.size == size:
        return
    hint = "" if anchor.value.shape[-1] != expected[-1] else "; resize_anchor() makes it fit"
    raise ValueError(
        f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, does not fit "
        f"{describe(tower)}, whose first attention gives {expected}{hint}"
    )


def _check_grid(anchor: Anchor, tower: nn.Module, order: Grids) -> None:
    """Raise ValueError if an anchor's shape does not match its grid and the tower's width."""
    rows, columns = order.of(anchor.size)
    width = token_width(tower)
    if tuple(anchor.value.shape) not in ((1, 1, width), (1, rows * columns, width)):
        raise ValueError(
            f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, does not fit "
            f"{describe(tower)}, whose first attention gives {(1, rows * columns, width)} for an "
            f"image of {anchor.size[0]}x{anchor.size[1]} pixels"
        )


def _bounds(
    value: float,
    tower: nn.Module,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> tuple[float, ...]:
    pixel = torch.full((3, 1, 1), value)
    return tuple(normalise(pixel, *normalisation(tower, mean, std)).flatten().tolist())
