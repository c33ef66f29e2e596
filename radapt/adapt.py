"""Adapt a frozen tower: a filter on its input, an anchor mixed into its first attention."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from radapt.anchor import Anchor
from radapt.clone import clone_to
from radapt.filters import PAPER_SIZE, GaussianFilter
from radapt.options import check_word
from radapt.tower import (
    attention_path,
    batch_leads,
    describe,
    image_size,
    is_adapted,
    normalisation,
    normalise,
    prefix_tokens,
    token_grid,
    token_width,
)

Mix = Literal["interpolate", "add"]


def adapt(
    tower: nn.Module,
    anchor: Anchor,
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
        tower: A vision tower that takes normalised pixels `[b,3,h,w]`.
        anchor: From `extract_anchor`, `fit_anchor` or a file; made for such a tower.
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
    handles = []
    if alpha != 0:
        check_fits(anchor, tower)
        # buffers and hooks follow the tower to its device and into its copies, and leave
        # the names in its state dict as they are
        attention.register_buffer("radapt_anchor", anchor.value.to(device), persistent=False)
        handles.append(attention.register_forward_hook(_Mixer(alpha, mix)))
    if cutoff is not None:
        # A Gaussian filter leaves constants alone, so it commutes with the normalisation;
        # only the bounds of [0,1] have to be taken over into the tower's units.
        adapted.radapt_filter = GaussianFilter(
            cutoff,
            at=cutoff_at,
            clamp=(_bounds(0.0, tower, mean, std), _bounds(1.0, tower, mean, std)),
            size=image_size(tower),
        ).to(device)
        handles.append(adapted.register_forward_pre_hook(_filter, with_kwargs=True))
    # kept because unpickling one reserves its number: in a new process, where numbers begin
    # again, the next hook of anybody's would else take this one's place
    vars(adapted)["radapt_handles"] = handles
    return adapted


def check_fits(anchor: Anchor, tower: nn.Module) -> None:
    """Raise ValueError where an anchor's shape or image size is not the tower's."""
    rows, columns = token_grid(tower)
    wanted = (1, prefix_tokens(tower) + rows * columns, token_width(tower))
    if tuple(anchor.value.shape) == wanted and anchor.size == image_size(tower):
        return
    hint = "" if anchor.value.shape[-1] != wanted[-1] else "; resize_anchor() makes it fit"
    raise ValueError(
        f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, does not fit "
        f"{describe(tower)}, whose first attention gives {wanted}{hint}"
    )


class _Mixer:
    """The hook that mixes the anchor in; a class, so that adapted towers can be copied."""

    def __init__(self, alpha: float, mix: Mix) -> None:
        self.alpha = alpha
        self.scale = 1 - alpha if mix == "interpolate" else 1.0

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        response: Tensor = output[0] if isinstance(output, tuple) else output
        tokens = response.shape[1 if batch_leads(module) else 0]
        value = module.radapt_anchor
        assert isinstance(value, Tensor)
        if tokens != value.shape[1]:
            raise ValueError(
                f"an anchor of {value.shape[1]} tokens meets a response of {tokens}; "
                "was it made at another image size?"
            )
        anchor = (value if batch_leads(module) else value.transpose(0, 1)).to(response)
        mixed = self.scale * response + self.alpha * anchor
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed


def _filter(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    gaussian = module.radapt_filter
    assert isinstance(gaussian, GaussianFilter)
    if args:
        return (gaussian(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "pixel_values": gaussian(kwargs["pixel_values"])}  # Hugging Face


def _bounds(
    value: float,
    tower: nn.Module,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> tuple[float, ...]:
    pixel = torch.full((3, 1, 1), value)
    return tuple(normalise(pixel, *normalisation(tower, mean, std)).flatten().tolist())
