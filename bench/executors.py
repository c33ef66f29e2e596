"""Where cells run."""

from collections.abc import Iterable, Iterator

from bench.plan import Cell
from bench.types import CellResult, RunCell


class Inline:
    """Runs cells one after another in this process."""

    def run(self, cells: Iterable[Cell], function: RunCell) -> Iterator[CellResult]:
        """Yield each result as it comes."""
        return (function(cell) for cell in cells)
