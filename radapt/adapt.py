"""Adapt a frozen tower: a filter on its input, an anchor mixed into its first attention."""

from typing import Any, Literal

from torch import Tensor, nn

from radapt.anchor import Anchor
from radapt.filters import PAPER_SIZE, GaussianFilter
from radapt.tower import (
    CLIP_MEAN,
    CLIP_STD,
    attention_path,
    batch_leads,
    clone_to,
    denormalise,
    describe,
    normalise,
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
    mean: tuple[float, ...] = CLIP_MEAN,
    std: tuple[float, ...] = CLIP_STD,
) -> nn.Module:
    """Return an adapted tower that shares the weights of `tower`, which stays as it was.

    The first attention module's output A becomes `(1 - alpha) * A + alpha * R` with the
    anchor R, before the residual sum. R-Adapt states a linear combination; this form is
    the likeliest reading of it, `mix="add"` (`A + alpha * R`) the alternative. With
    `alpha=0` and no cutoff the outputs are those of `tower` to the last bit.

    Args:
        tower: A vision tower that takes normalised pixels `[b,3,h,w]`.
        anchor: From `extract_anchor`, `fit_anchor` or a file; made for such a tower.
        alpha: Strength of the anchor; the paper uses 0.8 to 1.4.
        cutoff: D0 of the input filter in frequency offsets at 224 pixels; None for no filter.
        mix: How the anchor joins.
        cutoff_at: Image size that `cutoff` refers to; None for the image's own.
        mean: Mean of the tower's normalisation, per channel.
        std: Deviation of the tower's normalisation, per channel.

    Raises:
        TypeError: The tower has no known first attention block.
        ValueError: The anchor belongs to a tower of another shape.
    """
    adapted, attention = clone_to(tower, attention_path(tower))
    if alpha != 0:
        check_fits(anchor, tower)
        attention.register_forward_hook(_mixer(anchor.value, alpha, mix))
    if cutoff is not None:
        gaussian = GaussianFilter(cutoff, at=cutoff_at)
        adapted.register_forward_pre_hook(
            lambda module, args: (
                normalise(gaussian(denormalise(args[0], mean, std)), mean, std),
                *args[1:],
            )
        )
    return adapted


def check_fits(anchor: Anchor, tower: nn.Module) -> None:
    """Raise ValueError where an anchor's width is not the tower's."""
    width = getattr(tower.get_submodule(attention_path(tower)), "embed_dim", None)
    if width is not None and anchor.value.shape[-1] != width:
        raise ValueError(
            f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, "
            f"does not fit {describe(tower)}"
        )


def _mixer(value: Tensor, alpha: float, mix: Mix) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        response = output[0] if isinstance(output, tuple) else output
        tokens = response.shape[1 if batch_leads(module) else 0]
        if tokens != value.shape[1]:
            raise ValueError(
                f"an anchor of {value.shape[1]} tokens meets a response of {tokens}; "
                "was it made at another image size?"
            )
        anchor = (value if batch_leads(module) else value.transpose(0, 1)).to(response)
        scale = 1 - alpha if mix == "interpolate" else 1.0
        mixed = scale * response + alpha * anchor
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    return hook
