"""An anchor for towers whose answer to a white image depends on its size."""

import torch
from torch import Tensor, nn

from radapt.anchor import extract_anchor
from radapt.grids import Grid, grids_of
from radapt.tower import describe

_MOST = 32  # grids whose anchors are kept; one has some megabytes


class PerGrid:
    """A white image's response, extracted from a tower at each grid that comes.

    Qwen3-VL adds learned positions to its tokens, so that what its first attention answers to a
    white image depends on token and grid, and an anchor of one grid can only be interpolated to
    another. This extracts it anew, which is exact: as CLIP's anchor is that of a white image of
    CLIP's size, an image's anchor here is that of a white image of its own size. The last ones are
    kept.

    Attributes:
        source: The tower that it is extracted from.
        tower: The same in words.
        origin: How it is made.
    """

    origin = "uniform white image, extracted at each grid"

    def __init__(
        self,
        tower: nn.Module,
        *,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        """Take anchors from a tower, whose weights are shared.

        Args:
            tower: A vision tower that takes patches of images of any size.
            mean: As for `extract_anchor`.
            std: As for `extract_anchor`.

        Raises:
            TypeError: The tower takes images of one size; `extract_anchor` is for these.
        """
        how = grids_of(tower)
        if how is None:
            raise TypeError(f"{type(tower).__name__} has no grids; extract_anchor() its one anchor")
        self.how = how
        self.source = tower
        self.tower = describe(tower)
        self.mean = mean
        self.std = std
        self._kept: dict[Grid, Tensor] = {}

    def __call__(self, grid: Grid) -> Tensor:
        """Return the anchor at a grid, `[n,d]`, row by row."""
        if grid not in self._kept:
            rows, columns = (count * self.how.patch for count in grid)
            # the first call may come in the midst of one in lower precision, the next need not
            with torch.autocast(next(self.source.parameters()).device.type, enabled=False):
                made = extract_anchor(
                    self.source, size=(rows, columns), mean=self.mean, std=self.std
                )
            while len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[grid] = made.value[0].expand(grid[0] * grid[1], -1)
        return self._kept[grid]
