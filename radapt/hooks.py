"""Hooks of an adapted tower: the filter on its input, the anchor on its first attention."""

from functools import partial
from typing import Any, Literal, cast

from torch import Tensor, nn

from radapt.filters import GaussianFilter
from radapt.grids import Grid, Grids, interpolated, lay_out, on_frames
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

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Return the first attention's output with the anchor mixed in."""
        response: Tensor = output[0] if isinstance(output, tuple) else output
        tokens = response.shape[1 if batch_leads(module) else 0]
        value = module.radapt_anchor
        assert isinstance(value, Tensor)
        if tokens != value.shape[1]:
            raise ValueError(
                f"the anchor has {value.shape[1]} tokens, but the first attention gives {tokens}; "
                "use an anchor for this image size"
            )
        anchor = (value if batch_leads(module) else value.transpose(0, 1)).to(response)
        mixed = self.scale * response + self.alpha * anchor
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed


class GridMixer(Mixer):
    """Mixes the anchor into the tokens `[n,d]` of images of any grids."""

    def __init__(self, alpha: float, mix: Mix, order: Grids, source: PerGrid | Grid) -> None:
        """Set the factors, the order of patches, and the source of anchors.

        `source` makes an anchor per grid, or is the grid of the tower's one anchor.
        """
        super().__init__(alpha, mix)
        self.order = order
        self.source = source

    def __call__(  # type: ignore[override]  # a hook that is given keyword arguments too
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor:
        """Return the first attention's output with each image's anchor mixed into its tokens."""
        source, grids = self.source, kwargs.get(_GRID)
        if grids is None:
            raise ValueError(
                "a block is called without its tower, which passes the images' grids to it"
            )
        if isinstance(source, PerGrid):
            anchor = lay_out(source, grids, self.order)
        else:
            anchor = cast(Tensor, module.radapt_anchor)[0]
            if len(anchor) > 1:  # a single vector applies to every token
                anchor = lay_out(partial(interpolated, anchor, source), grids, self.order)
        return self.scale * output + self.alpha * anchor.to(output)


def pass_grid(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Pass the images' grids to the first attention.

    They are passed as an argument, not as an attribute of the module: transformers passes
    arguments to every attention, whose kernels ignore this one, and a checkpointed block gets the
    right grids again when it is recomputed in the backward pass.
    """
    return args, {**kwargs, _GRID: _given(args, kwargs)[1]}


class PatchFilter:
    """Filters the images that patches were cut from."""

    def __init__(self, order: Grids) -> None:
        """Set the order of the tower's patches."""
        self.order = order

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the tower's arguments with its patches filtered."""
        gaussian = cast(GaussianFilter, module.radapt_filter)
        patches, grid_thw = _given(args, kwargs)
        smooth = on_frames(gaussian, patches, grid_thw, self.order)
        rest = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        return (smooth, *args[1:]), rest


def filter_pixels(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a tower's arguments with its pixels filtered."""
    gaussian = cast(GaussianFilter, module.radapt_filter)
    if args:
        return (gaussian(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "pixel_values": gaussian(kwargs["pixel_values"])}  # Hugging Face


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the patches and grids among a tower's arguments."""
    named = dict(zip(("hidden_states", "grid_thw"), args, strict=False))
    both = {**named, **kwargs}
    return both["hidden_states"], both["grid_thw"]
