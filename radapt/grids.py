"""Order of patches and tokens in vision towers that take images of any size.

Qwen2-VL, Qwen2.5-VL and Qwen3-VL take `hidden_states` `[patches, c*t*p*p]`, the patches of all
images one after another, and `grid_thw` `[images, 3]`. The patches of a square of `merge` by
`merge`, which become one token of the language model, are adjacent; squares are ordered row by row.
A patch spans `frames` frames in time, and an image is repeated for all of them. Qwen2.5-VL also
groups squares into windows. The tokens of SigLIP2-NaFlex and Pixtral are ordered row by row.
`radapt.any_size` has the arguments of each kind of tower.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grid = tuple[int, int]  # rows and columns of patches
Form = Literal["packed", "padded", "images"]


@dataclass(frozen=True, slots=True)
class Grids:
    """Size and order of a tower's patches.

    Attributes:
        patch: Side of a patch in pixels.
        frames: Number of frames that a patch spans.
        merge: Side, in patches, of a square of adjacent patches.
        window: Side of an attention window in pixels; None if the tower has no windows.
        side: Side, in patches, of the grid of learned positions; None if all positions are rotary.
        form: How images are given to the tower (`radapt.any_size`).
    """

    patch: int
    frames: int
    merge: int
    window: int | None
    side: int | None
    form: Form = "packed"

    @property
    def step(self) -> int:
        """Pixels that the height and width of an image must be multiples of."""
        return self.patch * self.merge

    def of(self, size: tuple[int, int]) -> Grid:
        """Return the grid of an image, given its height and width in pixels.

        Raises:
            ValueError: Height or width is not a multiple of `step`.
        """
        if size[0] % self.step or size[1] % self.step or min(size) == 0:
            raise ValueError(
                f"image size: got {size[0]}x{size[1]} pixels; the tower takes multiples of "
                f"{self.step}"
            )
        return size[0] // self.patch, size[1] // self.patch


def grids_of(tower: nn.Module) -> Grids | None:
    """Return the order of a tower's patches; None for towers that take images of one size."""
    config: Any = getattr(tower, "config", None)
    kind = str(getattr(config, "model_type", ""))
    if kind == "siglip2_vision_model":
        return Grids(int(config.patch_size), 1, 1, None, int(config.num_patches**0.5), "padded")
    if kind == "pixtral" and hasattr(tower, "patch_conv"):
        return Grids(int(config.patch_size), 1, 1, None, None, "images")
    kind = kind.removesuffix("_vision")
    if not hasattr(tower, "patch_embed") or kind not in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        return None
    window = int(config.window_size) if kind == "qwen2_5_vl" else None
    side = int(config.num_position_embeddings**0.5) if kind == "qwen3_vl" else None
    merge = int(config.spatial_merge_size)
    return Grids(int(config.patch_size), int(config.temporal_patch_size), merge, window, side)


def grid_rows(size: Grid, images: int, device: torch.device | None = None) -> Tensor:
    """Return `grid_thw` `[images, 3]` for a number of images with the same grid."""
    return torch.tensor([[1, *size]] * images, device=device)


def patchify(images: Tensor, order: Grids) -> Tensor:
    """Cut images `[b,c,h,w]` into patches, with each image repeated in time; differentiable.

    Raises:
        ValueError: Height or width is not a multiple of `order.step`.
    """
    order.of((images.shape[-2], images.shape[-1]))
    return patch_frames(images.repeat_interleave(order.frames, 0), order)


def patch_frames(frames: Tensor, order: Grids) -> Tensor:
    """Cut frames `[n*t,c,h,w]` into patches `[n*rows*columns, c*t*p*p]`."""
    _, channels, height, width = frames.shape
    p, m, t = order.patch, order.merge, order.frames
    parts = frames.reshape(-1, t, channels, height // (m * p), m, p, width // (m * p), m, p)
    ordered = parts.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return ordered.reshape(-1, channels * t * p * p)


def unpatch_frames(patches: Tensor, grid: Grid, order: Grids) -> Tensor:
    """Join patches of one grid to frames: the exact inverse of `patch_frames`."""
    (rows, columns), p, m, t = grid, order.patch, order.merge, order.frames
    channels = patches.shape[-1] // (t * p * p)
    parts = patches.reshape(-1, rows // m, columns // m, m, m, channels, t, p, p)
    ordered = parts.permute(0, 6, 5, 1, 3, 7, 2, 4, 8)
    return ordered.reshape(-1, channels, rows * p, columns * p)


def on_frames(
    change: Callable[[Tensor], Tensor], patches: Tensor, grid_thw: Tensor, order: Grids
) -> Tensor:
    """Apply a function to the frames that patches were cut from, and cut the result again.

    Args:
        change: Maps frames `[n,c,h,w]` to frames of the same shape.
        patches: Patches `[patches, c*t*p*p]` of images of any grids.
        grid_thw: Frames, rows and columns of each image, `[images, 3]`.
        order: Order of the tower's patches.
    """
    counted = list(_runs(grid_thw))
    parts = patches.split([times * grid[0] * grid[1] for grid, times in counted])
    changed = [
        patch_frames(change(unpatch_frames(part, grid, order)), order)
        for part, (grid, _) in zip(parts, counted, strict=True)
    ]
    return torch.cat(changed)


def lay_out(anchor: Callable[[Grid], Tensor], grid_thw: Tensor, order: Grids) -> Tensor:
    """Return the anchors of all images `[tokens,d]`, in the token order of the first attention.

    Args:
        anchor: Maps a grid to its anchor `[n,d]`, row by row.
        grid_thw: Frames, rows and columns of each image, `[images, 3]`.
        order: Order of the tower's patches.
    """
    parts = []
    for grid, times in _runs(grid_thw):
        tokens = anchor(grid)
        parts.append(tokens[token_order(grid, order).to(tokens.device)].repeat(times, 1))
    return torch.cat(parts)


def interpolated(tokens: Tensor, made_at: Grid, form: Form, grid: Grid) -> Tensor:
    """Interpolate tokens `[n,d]`, row by row, from one grid to another.

    Bilinear, as the tower interpolates its learned positions: Qwen3-VL with aligned corners,
    SigLIP2-NaFlex (`padded`) without them and with antialiasing.
    """
    if grid == made_at:
        return tokens
    plane = tokens.float().transpose(0, 1).reshape(1, -1, *made_at)
    corners = form == "packed"
    sized = F.interpolate(
        plane, grid, mode="bilinear", align_corners=corners, antialias=not corners
    )
    return sized[0].flatten(1).transpose(0, 1).to(tokens)


def row_by_row(tokens: Tensor, grid: Grid, order: Grids) -> Tensor:
    """Reorder the tokens `[n,d]` of one image from the tower's order to row by row."""
    rows = torch.empty_like(tokens)
    rows[token_order(grid, order).to(tokens.device)] = tokens
    return rows


@lru_cache(maxsize=256)
def token_order(grid: Grid, order: Grids) -> Tensor:
    """Return, for each token of the tower, the row-by-row index of its patch, `[n]`."""
    (rows, columns), m = grid, order.merge
    patches = torch.arange(rows * columns).reshape(rows // m, m, columns // m, m)
    squares = patches.permute(0, 2, 1, 3).reshape(rows // m, columns // m, m * m)
    if order.window is None:
        return squares.flatten()
    side = order.window // order.merge // order.patch
    windows = (cell for band in squares.split(side, 0) for cell in band.split(side, 1))
    return torch.cat([window.flatten() for window in windows])


def _runs(grid_thw: Tensor) -> Iterator[tuple[Grid, int]]:
    """Yield runs of equal grids with their number of frames; an image counts as one frame."""
    rows = cast(list[list[int]], grid_thw.tolist())
    for grid, run in groupby(rows, key=lambda row: (row[1], row[2])):
        yield grid, sum(row[0] for row in run)
