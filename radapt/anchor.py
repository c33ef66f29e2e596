"""The robustness anchor: its data, its file format, and its extraction from a tower."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from radapt.atomic_write import write_atomically
from radapt.clone import clone_to
from radapt.grids import grids_of, row_by_row
from radapt.tiles import tiles_of
from radapt.tower import (
    attention_path,
    batch_leads,
    describe,
    image_size,
    is_adapted,
    normalisation,
    normalise,
    prefix_tokens,
    run,
    token_grid,
    token_width,
)

FORMAT = "radapt-anchor-1"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A fixed output of the first attention module, with the class token.

    Attributes:
        value: Tokens `[1,n,d]` of width d, patches row by row. With n=1 the token applies to every
            token of every grid (a white image on a tower with rotary positions only).
        tower: Description of the tower that it was made for.
        size: Height and width in pixels of the image that it was made from.
        origin: Description of its making.
    """

    value: Tensor
    tower: str
    size: tuple[int, int]
    origin: str

    def save(self, path: str | Path) -> None:
        """Write the anchor as safetensors with its metadata."""
        metadata = {
            "format": FORMAT,
            "tower": self.tower,
            "size": f"{self.size[0]}x{self.size[1]}",
            "origin": self.origin,
        }
        tensors = {"anchor": self.value.detach().cpu().contiguous()}
        write_atomically(Path(path), lambda part: save_file(tensors, str(part), metadata))

    @classmethod
    def load(cls, path: str | Path) -> "Anchor":
        """Read an anchor.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is not an anchor.
        """
        try:
            return cls._load(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: not an anchor: {error}") from error

    @classmethod
    def _load(cls, path: str | Path) -> "Anchor":
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(
                    f"{path}: not an anchor: its metadata are {metadata or 'empty'}; allowed is a "
                    f"file with the format {FORMAT}"
                )
            height, _, width = metadata["size"].partition("x")
            return cls(
                file.get_tensor("anchor"),
                metadata["tower"],
                (int(height), int(width)),
                metadata["origin"],
            )


def extract_anchor(
    tower: nn.Module,
    image: Tensor | None = None,
    *,
    size: tuple[int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Anchor:
    """Return the output of the first attention module for one image.

    On CLIP's own tower this is the training-free anchor of R-Adapt_CLIP. On a robust tower it is
    the model-guided anchor of R-Adapt_M (through that tower's own embedding and first attention).

    For towers that take images of any size (`radapt.grids`): all patches of a white image are
    equal. If positions are only rotary (Qwen2-VL, Qwen2.5-VL, Pixtral), they rotate queries and
    keys but not values, so the output is the same vector for every token. The anchor is this
    vector, exact for every grid up to rounding. If positions are also learned (Qwen3-VL,
    SigLIP2-NaFlex), the output depends on the token and the grid. The anchor then belongs to one
    grid, and `adapt` interpolates it to other grids as the tower interpolates its positions.
    `radapt.PerGrid` extracts an exact anchor per grid.

    For Mllama (`radapt.tiles`) the image is the only tile, and the anchor has the tile's tokens.

    Args:
        tower: A vision tower that takes normalised pixels, or patches of them.
        image: Image `[1,3,h,w]` in [0,1]; None for a white image.
        size: Height and width of the white image in pixels; None for the tower's image size.
        mean: Mean of the tower's normalisation per channel; None for the tower's own
            (`radapt.tower.normalisation`).
        std: Standard deviation of the tower's normalisation per channel; None for its own.

    Raises:
        TypeError: The tower's layout is not known, or the image is not a tensor of floats.
        ValueError: The tower is adapted, or the image is not one RGB image in [0,1].
    """
    if image is not None:
        _check_image(image)
    if is_adapted(tower):
        raise ValueError(f"this {type(tower).__name__} is adapted; extract from its base tower")
    probe, attention = clone_to(tower, attention_path(tower))
    probe.eval()  # with dropout each call would give another anchor
    weight = next(tower.parameters())
    origin = "uniform white image" if image is None else "given image"
    pixels = torch.ones(1, 3, *(size or image_size(tower))) if image is None else image
    height, width = pixels.shape[-2:]
    captured: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        response = output[0] if isinstance(output, tuple) else output
        captured.append(response if batch_leads(module) else response.transpose(0, 1))

    attention.register_forward_hook(keep)
    # normalised in fp32 even for a tower in half precision, as image processors do
    single = pixels.to(weight.device, torch.promote_types(weight.dtype, torch.float32))
    inputs = normalise(single, *normalisation(tower, mean, std)).to(weight)
    with torch.no_grad():
        run(probe, inputs)
    value = captured[0].detach().clone()
    order = grids_of(tower)
    if order is not None:
        grid = order.of((height, width))
        value = row_by_row(value.reshape(-1, value.shape[-1]), grid, order)[None]
        origin += f" at {grid[0]}x{grid[1]} tokens, interpolated to other grids"
        if image is None and order.side is None:
            value, origin = value[:, :1], "uniform white image, one vector at every grid"
    elif tiles_of(tower) is not None:  # the image is the first tile; the others are padding
        rows, columns = token_grid(tower)
        value = value[:, : prefix_tokens(tower) + rows * columns]
    return Anchor(value, describe(tower), (height, width), origin)


def _check_image(image: Tensor) -> None:
    """Raise an error if an image is not a float tensor `[1,3,h,w]` in [0,1]."""
    kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise TypeError(f"image: got {kind}; allowed: a tensor of floats in [0,1]")
    shape = tuple(image.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or 0 in shape:
        raise ValueError(f"image: got the shape {shape}; allowed: one RGB image, (1, 3, h, w)")
    low, high = float(image.min()), float(image.max())  # NaN fails both comparisons
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"image: got values from {low:.4g} to {high:.4g}; allowed: pixels from 0 to 1, before "
            "the model's normalisation"
        )


def resize_anchor(anchor: Anchor, tower: nn.Module) -> Anchor:
    """Return an anchor resampled to a tower's token grid, for example from 224 to 336 pixels.

    The patch tokens are interpolated (bicubic) and a class token is copied. The result only
    approximates the tower's own anchor; if possible, use `extract_anchor` on the tower. For a
    tower that takes images of any size the anchor is returned unchanged: `adapt` interpolates it.

    Args:
        anchor: An anchor made on a tower of the same width and patch size, at another image size.
        tower: The tower that the result should fit.

    Raises:
        ValueError: The tower differs in token width, class token or patch size.
    """
    if grids_of(tower) is not None:
        return anchor
    prefix, width = prefix_tokens(tower), anchor.value.shape[-1]
    patches = anchor.value[:, prefix:]
    height, breadth = anchor.size
    rows = round((patches.shape[1] * height / breadth) ** 0.5)
    columns = patches.shape[1] // max(rows, 1)
    patch = (height / max(rows, 1), breadth / max(columns, 1))  # height and width in pixels
    tower_patch = tuple(
        size / count for size, count in zip(image_size(tower), token_grid(tower), strict=True)
    )
    if width != token_width(tower) or rows * columns != patches.shape[1] or patch != tower_patch:
        raise ValueError(
            f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, cannot be "
            f"resized for {describe(tower)}: token width, class token and patch size must agree"
        )
    grid = patches.transpose(1, 2).reshape(1, width, rows, columns)
    sized = F.interpolate(grid.float(), token_grid(tower), mode="bicubic", align_corners=False)
    value = torch.cat([anchor.value[:, :prefix], sized.flatten(2).transpose(1, 2).to(patches)], 1)
    origin = f"{anchor.origin}, resized from {height}x{breadth}"
    return Anchor(value, describe(tower), image_size(tower), origin)
