"""The robustness anchor: what it is, how it is stored, and how it is read off a tower."""

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
from radapt.grids import grid_rows, grids_of, patchify, row_by_row
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

FORMAT = "radapt-anchor-1"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A fixed response of the first attention block (the module's output, class token included).

    Attributes:
        value: `[1,n,d]`: n tokens of width d, patches row by row. One token is that of every token
            of every grid (a white image on a tower whose positions are rotary).
        tower: The tower it belongs to, in words.
        size: Height and width of the image it was made at, in pixels.
        origin: How it was made.
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
        kept = {"anchor": self.value.detach().cpu().contiguous()}
        write_atomically(Path(path), lambda part: save_file(kept, str(part), metadata))

    @classmethod
    def load(cls, path: str | Path) -> "Anchor":
        """Read an anchor.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file holds something else.
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
                raise ValueError(f"{path}: not an anchor ({FORMAT}) but {metadata or 'unmarked'}")
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
    """Read the output of the first attention block on one image.

    On CLIP's own tower this gives the training-free anchor of R-Adapt_CLIP, on a
    robust tower the model-guided anchor of R-Adapt_M (through that tower's own
    embedding and first attention).

    Of towers that take images of any size (`radapt.grids`) it is as follows. A white image makes
    all patches equal. Where positions are rotary (Qwen2.5-VL) they turn queries and keys only, so
    whatever the weights of the attention are, it answers every token with the one value: the
    anchor is that vector, exact at every grid up to rounding. Where positions are also learned
    (Qwen3-VL) the answer depends on token and grid: the anchor is of one grid, and `adapt`
    interpolates it to others as the tower does its positions. `radapt.PerGrid` extracts it at
    each grid instead, which is exact.

    Args:
        tower: A vision tower that takes normalised pixels, or patches of them.
        image: `[1,3,h,w]` in [0,1]; a white image when not given.
        size: Height and width of the white image; the tower's when not given.
        mean: Mean of the tower's normalisation, per channel; its own when not given
            (`radapt.tower.normalisation`).
        std: Deviation of the tower's normalisation, likewise.

    Raises:
        TypeError: The tower has no known first attention block.
    """
    if is_adapted(tower):
        raise ValueError(f"this {type(tower).__name__} is adapted; extract from its base")
    probe, attention = clone_to(tower, attention_path(tower))
    probe.eval()  # dropout would make it another anchor at each call
    weight = next(tower.parameters())
    origin = "uniform white image" if image is None else "given image"
    pixels = torch.ones(1, 3, *(size or image_size(tower))) if image is None else image
    height, width = pixels.shape[-2:]
    captured: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        response = output[0] if isinstance(output, tuple) else output
        captured.append(response if batch_leads(module) else response.transpose(0, 1))

    attention.register_forward_hook(keep)
    # as processors do, who hand single precision to towers of halves
    precise = pixels.to(weight.device, torch.promote_types(weight.dtype, torch.float32))
    inputs = normalise(precise, *normalisation(tower, mean, std)).to(weight)
    how = grids_of(tower)
    with torch.no_grad():
        if how is None:
            probe(inputs)
        else:
            grid = how.of((height, width))
            probe(patchify(inputs, how), grid_thw=grid_rows(grid, 1, inputs.device))
    value = captured[0].detach().clone()
    if how is not None:
        value = row_by_row(value, grid, how)[None]
        origin += f" at {grid[0]}x{grid[1]} tokens, interpolated to other grids"
        if image is None and how.side is None:
            value, origin = value[:, :1], "uniform white image, one vector at every grid"
    return Anchor(value, describe(tower), (height, width), origin)


def resize_anchor(anchor: Anchor, tower: nn.Module) -> Anchor:
    """Return an anchor resampled to a tower's token grid, as from 224 to 336 pixels.

    The patch tokens are interpolated (bicubic) and a class token is kept. It is a guess at
    what the tower itself would answer: where the tower is at hand, extract the anchor anew. For a
    tower that takes images of any size it returns the anchor as it is: `adapt` interpolates it.

    Args:
        anchor: Made on a tower of the same width and patch size, at another image size.
        tower: The tower that it shall fit.

    Raises:
        ValueError: The tower's tokens are of another width or another kind.
    """
    if grids_of(tower) is not None:
        return anchor
    prefix, width = prefix_tokens(tower), anchor.value.shape[-1]
    patches = anchor.value[:, prefix:]
    height, breadth = anchor.size
    rows = round((patches.shape[1] * height / breadth) ** 0.5)
    columns = patches.shape[1] // max(rows, 1)
    sides = (height / max(rows, 1), breadth / max(columns, 1))  # of a patch, in pixels
    like = tuple(
        size / count for size, count in zip(image_size(tower), token_grid(tower), strict=True)
    )
    if width != token_width(tower) or rows * columns != patches.shape[1] or sides != like:
        raise ValueError(
            f"an anchor of shape {tuple(anchor.value.shape)}, made on {anchor.tower}, cannot be "
            f"resized for {describe(tower)}: width, class token and patches' size have to agree"
        )
    grid = patches.transpose(1, 2).reshape(1, width, rows, columns)
    sized = F.interpolate(grid.float(), token_grid(tower), mode="bicubic", align_corners=False)
    value = torch.cat([anchor.value[:, :prefix], sized.flatten(2).transpose(1, 2).to(patches)], 1)
    origin = f"{anchor.origin}, resized from {height}x{breadth}"
    return Anchor(value, describe(tower), image_size(tower), origin)
