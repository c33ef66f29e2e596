"""Questions that tests ask about stored cells."""

from bench.store.results_folder import Store


def is_finished(store: Store, cell_id: str) -> bool:
    """Return whether a cell has a stored result that is not a failure."""
    result = store.get(cell_id)
    return result is not None and result.finished
