"""Anchors per image size, for towers whose output for a white image depends on its size."""

import torch
from torch import Tensor, nn

from radapt.anchor import extract_anchor
from radapt.grids import Grid, grids_of
from radapt.tower import describe

_CACHE_SIZE = 32  # anchors; an anchor has a few megabytes


class PerGrid:
    """Extracts an anchor from a tower for each grid (image size) that occurs.

    Qwen3-VL and SigLIP2-NaFlex add learned positions to their tokens, so the first attention's
    output for a white image depends on the token and the grid, and interpolating an anchor to
    another grid is an approximation. This class extracts an exact anchor instead: each image gets
    the anchor of a white image of its own size. The most recent anchors are cached.

    Attributes:
        source: The tower that anchors are extracted from.
        tower: Description of this tower.
        origin: Description of how anchors are made.
    """

    origin = "uniform white image, extracted at each grid"

    def __init__(
        self,
        tower: nn.Module,
        *,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        """Set the tower; its weights are shared, not copied.

        Args:
            tower: A vision tower that takes patches of images of any size.
            mean: As for `extract_anchor`.
            std: As for `extract_anchor`.

        Raises:
            TypeError: The tower takes images of one size; use `extract_anchor` for it.
        """
        order = grids_of(tower)
        if order is None:
            raise TypeError(
                f"{type(tower).__name__} takes images of one size; use extract_anchor() for it"
            )
        self.order = order
        self.source = tower
        self.tower = describe(tower)
        self.mean = mean
        self.std = std
        self._kept: dict[Grid, Tensor] = {}

    def __call__(self, grid: Grid) -> Tensor:
        """Return the anchor of a grid, `[n,d]`, row by row."""
        if grid not in self._kept:
            rows, columns = (count * self.order.patch for count in grid)
            # without autocast, because the cached anchor is also used by calls outside of it
            with torch.autocast(next(self.source.parameters()).device.type, enabled=False):
                made = extract_anchor(
                    self.source, size=(rows, columns), mean=self.mean, std=self.std
                )
            while len(self._kept) >= _CACHE_SIZE:
                del self._kept[next(iter(self._kept))]
            self._kept[grid] = made.value[0].expand(grid[0] * grid[1], -1)
        return self._kept[grid]
