"""The stored results of a suite, read once per command and passed on."""

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench.core.resolved_names import Lock
from bench.core.types import Result
from bench.plan.cell_names import InOrder, known_names, names_key
from bench.plan.cells import Cell, expand
from bench.plan.identity import still_valid
from bench.store.results_folder import Store
from bench.suite.load import Suite

CellsWithResults = tuple[tuple[Cell, Result | None], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """A suite with its cells and their results at the time of reading.

    Attributes:
        suite: The suite.
        store: The store of the suite.
        lock: The lock, without names that the suite has since redefined.
        cells: The cells under this lock, in the order of the suite; the cells of models with equal
            weights have the same ids.
        by_id: The stored results by cell id.
        names_stored: Whether the names of the cells are stored.
    """

    suite: Suite
    store: Store
    lock: Lock
    cells: tuple[Cell, ...]
    by_id: Mapping[str, Result]
    names_stored: bool = False

    @property
    def cells_with_results(self) -> CellsWithResults:
        """Each cell with its result, or with None if it has no result."""
        return tuple((cell, self.by_id.get(cell.id)) for cell in self.cells)

    def missing(self) -> list[Cell]:
        """Return the cells that still have to be computed, in order; each id appears once."""
        distinct = {cell.id: cell for cell in self.cells}
        known = self.by_id
        return [c for key, c in distinct.items() if key not in known or not known[key].finished]

    def without(self, cell_ids: Collection[str]) -> "Results":
        """Return a copy without the results of some cells, which are damaged."""
        left = {key: result for key, result in self.by_id.items() if key not in cell_ids}
        return replace(self, by_id=left)

    def updated(self, cells: Iterable[Cell]) -> "Results":
        """Return a copy with the results of some cells read again."""
        fresh = _read(self.store, cells)
        return replace(self, by_id={**self.by_id, **fresh})


def read_results(
    suite: Suite,
    store: Store,
    lock: Lock | None = None,
    wanted: Callable[[Cell], bool] = lambda cell: True,
) -> Results:
    """Read the stored results of a suite.

    Args:
        suite: The suite.
        store: The store of the suite.
        lock: The lock; the lock of the last run if None.
        wanted: Whether to read the result of a cell; reads all results by default.

    Raises:
        UserError: The lock is damaged, or a file cannot be read.
    """
    valid = still_valid(suite, store.lock() if lock is None else lock)
    names = store.names(names_key(suite, valid))
    with collector_paused():
        cells = tuple(expand(suite, valid, InOrder(names)) if names else expand(suite, valid))
        found = _read(store, filter(wanted, cells))
        return Results(suite, store, valid, cells, found, names is not None)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector, which would look through millions of objects in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def store_names(results: Results) -> None:
    """Store the names of a suite's cells, so that later commands need not compute them.

    Raises:
        StoreError: They cannot be written.
    """
    if results.names_stored:
        return
    key = names_key(results.suite, results.lock)
    ids = [cell.names for cell in results.cells]
    results.store.put_names(key, known_names(ids))


def planned_ids(suite: Suite, store: Store) -> Iterator[bytes]:
    """Return the id of each cell of a suite, 10 bytes.

    Raises:
        UserError: The lock is damaged, or a file cannot be read.
    """
    valid = still_valid(suite, store.lock())
    names = store.names(names_key(suite, valid))
    return names.cell_ids() if names else (bytes.fromhex(c.id) for c in expand(suite, valid))


def _read(store: Store, cells: Iterable[Cell]) -> Mapping[str, Result]:
    return store.find(cell.id for cell in cells)
