"""Hooks of an adapted tower: the filter on its input, the anchor on its first attention."""

from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from radapt.any_size import INPUTS, Arguments
from radapt.filters import GaussianFilter
from radapt.grids import Grid, Grids, interpolated, lay_out
from radapt.per_grid import PerGrid
from radapt.tower import batch_leads

Mix = Literal["interpolate", "add"]
# keyword argument that passes the images' grids to the first attention
_GRID = "radapt_grid"


class Mixer:
    """Mixes the anchor into the first attention's output; a class, so that towers can be copied."""

    def __init__(self, alpha: float, mix: Mix) -> None:
        """Set the factors of the anchor and of the attention's output."""
        self.alpha = alpha
        self.scale = 1 - alpha if mix == "interpolate" else 1.0

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        """Return the first attention's output with the anchor mixed in."""
        if isinstance(output, tuple):
            return (self.mixed(module, output[0], kwargs), *output[1:])
        return self.mixed(module, output, kwargs)

    def mixed(self, module: nn.Module, response: Tensor, kwargs: dict[str, Any]) -> Tensor:
        """Return a response `[b,n,d]`, or `[n,b,d]`, with the anchor mixed in.

        Raises:
            ValueError: The response has another number of tokens than the anchor.
        """
        tokens = response.shape[1 if batch_leads(module) else 0]
        value = cast(Tensor, module.radapt_anchor)
        if tokens != value.shape[1]:
            raise ValueError(
                f"the anchor has {value.shape[1]} tokens, but the first attention gives {tokens}; "
                "use an anchor for this image size"
            )
        anchor = (value if batch_leads(module) else value.transpose(0, 1)).to(response)
        return self.scale * response + self.alpha * anchor


class TileMixer(Mixer):
    """Mixes the anchor of a tile into each tile of an image, for Mllama."""

    def __init__(self, alpha: float, mix: Mix, tokens: int) -> None:
        """Set the factors, and the number of tokens of a tile with those that pad it."""
        super().__init__(alpha, mix)
        self.tokens = tokens

    def mixed(self, module: nn.Module, response: Tensor, kwargs: dict[str, Any]) -> Tensor:
        """Return a response `[b, tiles*tokens, d]` with the anchor mixed into each real tile.

        The tower's attention mask is 0 on the diagonal for tokens of tiles, and negative for
        tokens that pad a tile and for tiles that pad an image.

        Raises:
            ValueError: The response has no whole number of tiles.
        """
        value = cast(Tensor, module.radapt_anchor).to(response)
        tiles, rest = divmod(response.shape[1], self.tokens)
        if rest:
            raise ValueError(
                f"the first attention gives {response.shape[1]} tokens, which are not tiles of "
                f"{self.tokens}; use images of the tower's own size"
            )
        padded = nn.functional.pad(value, (0, 0, 0, self.tokens - value.shape[1]))
        mask: Tensor = kwargs["attention_mask"]
        real = mask[:, 0].diagonal(dim1=-2, dim2=-1) == 0
        mixed = self.scale * response + self.alpha * padded.repeat(1, tiles, 1)
        return torch.where(real[..., None], mixed, response)


class GridMixer(Mixer):
    """Mixes the anchor into the tokens of images of any grids."""

    def __init__(self, alpha: float, mix: Mix, order: Grids, source: PerGrid | Grid) -> None:
        """Set the factors, the order of patches, and the source of anchors.

        `source` makes an anchor per grid, or is the grid of the tower's one anchor.
        """
        super().__init__(alpha, mix)
        self.order = order
        self.source = source

    def mixed(self, module: nn.Module, response: Tensor, kwargs: dict[str, Any]) -> Tensor:
        """Return a response with each image's anchor mixed into its tokens.

        Raises:
            ValueError: The block was called without its tower.
        """
        source, grids, order = self.source, kwargs.get(_GRID), self.order
        if grids is None:
            raise ValueError(
                "a block is called without its tower, which passes the images' grids to it"
            )
        if isinstance(source, PerGrid):
            anchor = lay_out(source, grids, order)
        else:
            anchor = cast(Tensor, module.radapt_anchor)[0]
            if len(anchor) > 1:  # a single vector applies to every token
                anchor = lay_out(partial(interpolated, anchor, source, order.form), grids, order)
        anchor = self.alpha * anchor.to(response)
        return INPUTS[order.form].mixed(response, self.scale, anchor, grids)


class GridPass:
    """Passes the images' grids to the first attention.

    They are passed as an argument, not as an attribute of the module: transformers passes
    arguments to every attention, whose kernels ignore this one, and a checkpointed block gets the
    right grids again when it is recomputed in the backward pass.
    """

    def __init__(self, order: Grids) -> None:
        """Set the order of the tower's patches."""
        self.order = order

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the tower's arguments with the images' grids."""
        given = _named(args, kwargs, self.order)
        return (), {**given, _GRID: INPUTS[self.order.form].grids(given, self.order)}


class PatchFilter:
    """Filters each image by itself, in a tower that takes images of any size."""

    def __init__(self, order: Grids) -> None:
        """Set the order of the tower's patches."""
        self.order = order

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the tower's arguments with its images filtered."""
        gaussian = cast(GaussianFilter, module.radapt_filter)
        given = _named(args, kwargs, self.order)
        return (), INPUTS[self.order.form].changed(gaussian, given, self.order)


def filter_pixels(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a tower's arguments with its pixels `[...,c,h,w]` filtered."""
    gaussian = cast(GaussianFilter, module.radapt_filter)
    if args:
        return (gaussian(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "pixel_values": gaussian(kwargs["pixel_values"])}  # Hugging Face


def _named(args: tuple[Any, ...], kwargs: dict[str, Any], order: Grids) -> Arguments:
    """Return a tower's arguments by name."""
    return {**dict(zip(INPUTS[order.form].names, args, strict=False)), **kwargs}
