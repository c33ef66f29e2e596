"""Towers that take patches of images of any size: in which order patches and tokens come.

Qwen2.5-VL and Qwen3-VL take `hidden_states` `[patches, c*t*p*p]` and `grid_thw` `[images, 3]`, the
patches of all images in one row. Those of a square of `merge` by `merge`, which become one token of
the language model, stand together; the squares go row by row. A patch spans `frames` frames in
time, and an image is that many equal ones. Qwen2.5-VL goes on to sort squares into windows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grid = tuple[int, int]  # rows and columns of patches


@dataclass(frozen=True, slots=True)
class Grids:
    """How a tower's patches are cut and ordered.

    Attributes:
        patch: Side of a patch in pixels.
        frames: Frames in time that a patch spans.
        merge: Side of a square of patches that stand together.
        window: Side of a window in pixels, into which the squares are sorted; None for none.
        side: Side of the learned grid of positions; None where all positions are rotary.
    """

    patch: int
    frames: int
    merge: int
    window: int | None
    side: int | None

    @property
    def step(self) -> int:
        """What an image's sides have to be multiples of, in pixels."""
        return self.patch * self.merge

    def of(self, size: tuple[int, int]) -> Grid:
        """Return the grid of an image of that height and width.

        Raises:
            ValueError: A side is no multiple of `step`.
        """
        if size[0] % self.step or size[1] % self.step or min(size) == 0:
            raise ValueError(
                f"an image of {size[0]}x{size[1]} pixels; the tower takes multiples of {self.step}"
            )
        return size[0] // self.patch, size[1] // self.patch


def grids_of(tower: nn.Module) -> Grids | None:
    """Return how a tower orders its patches; None for towers that take images."""
    config: Any = getattr(tower, "config", None)
    kind = str(getattr(config, "model_type", "")).removesuffix("_vision")
    if not hasattr(tower, "patch_embed") or kind not in ("qwen2_5_vl", "qwen3_vl"):
        return None
    window, side = None, None
    if kind == "qwen2_5_vl":
        window = int(config.window_size)
    else:
        side = int(config.num_position_embeddings**0.5)
    merge = int(config.spatial_merge_size)
    return Grids(int(config.patch_size), int(config.temporal_patch_size), merge, window, side)


def grid_rows(size: Grid, images: int, device: torch.device | None = None) -> Tensor:
    """Return `grid_thw` `[images, 3]` of so many images of one grid."""
    return torch.tensor([[1, *size]] * images, device=device)


def patchify(images: Tensor, how: Grids) -> Tensor:
    """Cut images `[b,c,h,w]` into patches, each image repeated in time; differentiable.

    Raises:
        ValueError: A side is no multiple of `how.step`.
    """
    how.of((images.shape[-2], images.shape[-1]))
    return patch_frames(images.repeat_interleave(how.frames, 0), how)


def patch_frames(frames: Tensor, how: Grids) -> Tensor:
    """Cut frames `[n*t,c,h,w]` into patches `[n*rows*columns, c*t*p*p]`."""
    _, channels, height, width = frames.shape
    p, m, t = how.patch, how.merge, how.frames
    parts = frames.reshape(-1, t, channels, height // (m * p), m, p, width // (m * p), m, p)
    ordered = parts.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return ordered.reshape(-1, channels * t * p * p)


def unpatch_frames(patches: Tensor, grid: Grid, how: Grids) -> Tensor:
    """Put patches of one grid together again: the exact inverse of `patch_frames`."""
    (rows, columns), p, m, t = grid, how.patch, how.merge, how.frames
    channels = patches.shape[-1] // (t * p * p)
    parts = patches.reshape(-1, rows // m, columns // m, m, m, channels, t, p, p)
    ordered = parts.permute(0, 6, 5, 1, 3, 7, 2, 4, 8)
    return ordered.reshape(-1, channels, rows * p, columns * p)


def on_frames(
    change: Callable[[Tensor], Tensor], patches: Tensor, grid_thw: Tensor, how: Grids
) -> Tensor:
    """Do something to the frames of which patches were cut, and cut them again.

    Args:
        change: Maps frames `[n,c,h,w]` to as many of the same size.
        patches: `[patches, c*t*p*p]`, of images of any grids.
        grid_thw: `[images, 3]`.
        how: The tower's order.
    """
    counted = [(grid, times) for grid, times in _runs(grid_thw)]
    parts = patches.split([times * grid[0] * grid[1] for grid, times in counted])
    changed = [
        patch_frames(change(unpatch_frames(part, grid, how)), how)
        for part, (grid, _) in zip(parts, counted, strict=True)
    ]
    return torch.cat(changed)


def lay_out(anchor: Callable[[Grid], Tensor], grid_thw: Tensor, how: Grids) -> Tensor:
    """Return images' anchors `[tokens,d]`, in the order in which the first attention has tokens.

    Args:
        anchor: Gives that of a grid, `[n,d]`, row by row.
        grid_thw: `[images, 3]`.
        how: The tower's order.
    """
    parts = []
    for grid, times in _runs(grid_thw):
        tokens = anchor(grid)
        parts.append(tokens[token_order(grid, how).to(tokens.device)].repeat(times, 1))
    return torch.cat(parts)


def interpolated(tokens: Tensor, made_at: Grid, grid: Grid) -> Tensor:
    """Return tokens `[n,d]` of one grid, row by row, at another: bilinear, the corners aligned.

    So does Qwen3-VL with its learned positions.
    """
    if grid == made_at:
        return tokens
    plane = tokens.float().transpose(0, 1).reshape(1, -1, *made_at)
    sized = F.interpolate(plane, grid, mode="bilinear", align_corners=True)
    return sized[0].flatten(1).transpose(0, 1).to(tokens)


def row_by_row(tokens: Tensor, grid: Grid, how: Grids) -> Tensor:
    """Return the tokens of one image `[n,d]`, as the tower has them, row by row."""
    rows = torch.empty_like(tokens)
    rows[token_order(grid, how).to(tokens.device)] = tokens
    return rows


@lru_cache(maxsize=256)
def token_order(grid: Grid, how: Grids) -> Tensor:
    """Return which patch of an image, counted row by row, each of the tower's tokens is, `[n]`."""
    (rows, columns), m = grid, how.merge
    patches = torch.arange(rows * columns).reshape(rows // m, m, columns // m, m)
    squares = patches.permute(0, 2, 1, 3).reshape(rows // m, columns // m, m * m)
    if how.window is None:
        return squares.flatten()
    side = how.window // how.merge // how.patch
    windows = (cell for band in squares.split(side, 0) for cell in band.split(side, 1))
    return torch.cat([window.flatten() for window in windows])


def _runs(grid_thw: Tensor) -> Iterator[tuple[Grid, int]]:
    """Yield each grid with how many of it follow one another; a video is so many of its own."""
    rows = cast(list[list[int]], grid_thw.tolist())
    for grid, run in groupby(rows, key=lambda row: (row[1], row[2])):
        yield grid, sum(row[0] for row in run)
