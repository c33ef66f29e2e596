"""What hangs on an adapted tower: the filter before it, the anchor after its first attention."""

from functools import partial
from typing import Any, Literal, cast

from torch import Tensor, nn

from radapt.filters import GaussianFilter
from radapt.grids import Grid, Grids, interpolated, lay_out, on_frames
from radapt.per_grid import PerGrid
from radapt.tower import batch_leads

Mix = Literal["interpolate", "add"]
# the argument that says at the first attention of which images the tokens are
_GRID = "radapt_grid"


class Mixer:
    """Mixes the anchor in; a class, so that adapted towers can be copied."""

    def __init__(self, alpha: float, mix: Mix) -> None:
        """Keep the anchor's strength and what is left of the response."""
        self.alpha = alpha
        self.scale = 1 - alpha if mix == "interpolate" else 1.0

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Return the first attention's output with the anchor in it."""
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


class GridMixer(Mixer):
    """Mixes the anchor into the tokens `[n,d]` of images of any grids."""

    def __init__(self, alpha: float, mix: Mix, how: Grids, source: PerGrid | Grid) -> None:
        """Keep also the tower's order, and what makes anchors, or the grid of the one there is."""
        super().__init__(alpha, mix)
        self.how = how
        self.source = source

    def __call__(  # type: ignore[override]  # a hook that is given keyword arguments too
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor:
        """Return the first attention's output with the anchor laid out over its tokens."""
        source, grids = self.source, kwargs.get(_GRID)
        if grids is None:
            raise ValueError(
                "a block is called without its tower, which tells it the images' grids"
            )
        if isinstance(source, PerGrid):
            anchor = lay_out(source, grids, self.how)
        else:
            anchor = cast(Tensor, module.radapt_anchor)[0]
            if len(anchor) > 1:  # one vector is that of every token
                anchor = lay_out(partial(interpolated, anchor, source), grids, self.how)
        return self.scale * output + self.alpha * anchor.to(output)


def pass_grid(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Send the images' grids along to the first attention.

    An argument and no note on the module: transformers hands the former to every attention, whose
    kernels leave it, and a block that is computed again for its gradient gets its own again.
    """
    return args, {**kwargs, _GRID: _given(args, kwargs)[1]}


class PatchFilter:
    """Filters the images that patches were cut of."""

    def __init__(self, how: Grids) -> None:
        """Keep the tower's order."""
        self.how = how

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the tower's arguments with its patches filtered."""
        gaussian = cast(GaussianFilter, module.radapt_filter)
        patches, grid_thw = _given(args, kwargs)
        smooth = on_frames(gaussian, patches, grid_thw, self.how)
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
    """Return the patches and the grids that a tower is called with."""
    named = dict(zip(("hidden_states", "grid_thw"), args, strict=False))
    both = {**named, **kwargs}
    return both["hidden_states"], both["grid_thw"]
