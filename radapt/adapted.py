"""Adapt a frozen tower: a filter on its input, an anchor mixed into its first attention."""

import math

import torch
from torch import nn

from radapt.anchor import Anchor
from radapt.clone import clone_to
from radapt.filters import PAPER_SIZE, GaussianFilter
from radapt.grids import Grids, grids_of
from radapt.hooks import GridMixer, Mix, Mixer, PatchFilter, filter_pixels, pass_grid
from radapt.options import check_word
from radapt.per_grid import PerGrid
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
    """Return an adapted tower that shares the weights of `tower`, which stays as it was.

    The first attention module's output A becomes `(1 - alpha) * A + alpha * R` with the
    anchor R, before the residual sum. R-Adapt states a linear combination; this form is
    the likeliest reading of it, `mix="add"` (`A + alpha * R`) the alternative. With
    `alpha=0` and no cutoff the outputs are those of `tower` to the last bit.

    Args:
        tower: A vision tower that takes normalised pixels `[b,3,h,w]`, or patches of them and their
            grids, as Qwen2.5-VL's and Qwen3-VL's do (`radapt.grids`): there the filter acts on each
            image, and the anchor is laid out over each image's tokens.
        anchor: From `extract_anchor`, `fit_anchor` or a file; made for such a tower. Of one that
            takes patches also a `PerGrid`, which is exact at every grid; another is interpolated.
        alpha: Strength of the anchor; the paper sweeps 0 to 2, and its R-Adapt+ has 0.8.
        cutoff: D0 of the input filter in frequency offsets at 224 pixels; None for no filter.
        mix: How the anchor joins.
        cutoff_at: Image size that `cutoff` refers to; None for the image's own.
        mean: Mean of the tower's normalisation, per channel; its own when not given
            (`radapt.tower.normalisation`).
        std: Deviation of the tower's normalisation, likewise.

    Raises:
        TypeError: The tower has no known first attention block.
        ValueError: The anchor belongs to a tower of another shape, the tower is adapted
            already, `mix` is unknown, or a number is not finite.
    """
    check_word("mix", mix, Mix)
    for name, value in (("alpha", alpha), ("cutoff", cutoff)):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}: got {value}; a finite number is needed")
    path = attention_path(tower)
    if is_adapted(tower):
        raise ValueError(f"this {type(tower).__name__} is adapted already; adapt its base")
    adapted, attention = clone_to(tower, path)
    device = next(tower.parameters()).device
    how = grids_of(tower)
    handles = []
    if alpha != 0:
        check_fits(anchor, tower)
        # buffers and hooks follow the tower to its device and into its copies, and leave
        # the names in its state dict as they are
        if isinstance(anchor, Anchor):
            kept = anchor.value.to(device)
            attention.register_buffer("radapt_anchor", kept, persistent=False)
        if how is None:
            handles.append(attention.register_forward_hook(Mixer(alpha, mix)))
        else:
            source = anchor if isinstance(anchor, PerGrid) else how.of(anchor.size)
            mixer = GridMixer(alpha, mix, how, source)
            handles.append(attention.register_forward_hook(mixer, with_kwargs=True))
            handles.append(adapted.register_forward_pre_hook(pass_grid, with_kwargs=True))
    if cutoff is not None:
        # A Gaussian filter leaves constants alone, so it commutes with the normalisation;
        # only the bounds of [0,1] have to be taken over into the tower's units.
        adapted.radapt_filter = GaussianFilter(
            cutoff,
            at=cutoff_at,
            clamp=(_bounds(0.0, tower, mean, std), _bounds(1.0, tower, mean, std)),
            size=image_size(tower),
        ).to(device)
        smooth = filter_pixels if how is None else PatchFilter(how)
        handles.append(adapted.register_forward_pre_hook(smooth, with_kwargs=True))
    # kept because unpickling one reserves its number: in a new process, where numbers begin
    # again, the next hook of anybody's would else take this one's place
    vars(adapted)["radapt_handles"] = handles
    return adapted


def check_fits(anchor: Anchor | PerGrid, tower: nn.Module) -> None:
    """Raise ValueError where an anchor's shape or image size is not the tower's."""
    how = grids_of(tower)
    if isinstance(anchor, PerGrid):
        if how is None or token_width(tower) != token_width(anchor.source):
            raise ValueError(f"anchors of {anchor.tower} do not fit {describe(tower)}")
        return
    if how is not None:
        _check_grid(anchor, tower, how)
        return
    rows, columns = token_grid(tower)
    wanted = (1, prefix_tokens(tower) + rows * columns, token_width(tower))
    if tuple(anchor.value.shape) == wanted and anchor.size == image_size(tower):
        return
    hint = "" if anchor.value.shape[-1] != wanted[-1] else "; resize_anchor() makes it fit"
    raise ValueError(
        f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, does not fit "
        f"{describe(tower)}, whose first attention gives {wanted}{hint}"
    )


def _check_grid(anchor: Anchor, tower: nn.Module, how: Grids) -> None:
    """Raise ValueError where an anchor is not of a grid that such a tower may have."""
    rows, columns = how.of(anchor.size)
    width = token_width(tower)
    if tuple(anchor.value.shape) not in ((1, 1, width), (1, rows * columns, width)):
        raise ValueError(
            f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, does not fit "
            f"{describe(tower)}, whose first attention gives {(1, rows * columns, width)} of an "
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
