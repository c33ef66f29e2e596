"""Run the cells that are not done, and keep every result as it comes."""

from collections.abc import Callable, Sequence

from bench.plan import Cell
from bench.store import Store
from bench.types import CellResult, Executor, RunCell


def run(
    cells: Sequence[Cell],
    executor: Executor,
    store: Store,
    function: RunCell,
    on_result: Callable[[CellResult], None],
) -> int:
    """Compute what is missing; a cell that occurs twice is computed once.

    Args:
        cells: All cells of a suite, in the order they should run.
        executor: Where they run.
        store: Holds what is done; each result is kept before the next is awaited.
        function: Computes one cell.
        on_result: Called after each result is kept.

    Returns:
        How many cells were computed.
    """
    todo = {cell.id: cell for cell in cells if not store.finished(cell.id)}
    for result in executor.run(todo.values(), function):
        store.put(result)
        on_result(result)
    return len(todo)
