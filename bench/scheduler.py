"""Run the cells that are not done, and keep every result as it comes."""

from collections.abc import Callable, Iterable

from bench.plan import Cell
from bench.store import Store
from bench.types import CellResult, Executor, RunCell


def missing(cells: Iterable[Cell], store: Store) -> list[Cell]:
    """Return the cells that are to be computed, in order; one that occurs twice is named once."""
    distinct = {cell.id: cell for cell in cells}
    return [cell for cell in distinct.values() if not store.finished(cell.id)]


def run(
    cells: Iterable[Cell],
    executor: Executor,
    store: Store,
    function: RunCell,
    on_result: Callable[[CellResult], None],
) -> None:
    """Compute cells.

    Args:
        cells: What is to be computed, in the order in which it should run.
        executor: Where it runs.
        store: Keeps each result before the next is awaited.
        function: Computes one cell.
        on_result: Called after each result is kept.
    """
    for result in executor.run(cells, function):
        store.put(result)
        on_result(result)
