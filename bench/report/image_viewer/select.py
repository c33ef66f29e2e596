"""Selects a cell by its id, and the images to show."""

from collections.abc import Sequence

from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.data.split import choose
from bench.plan.cells import Cell
from bench.plan.labels import describe
from bench.report.image_viewer.shown_images import ImageOutcome
from bench.store.snapshot import Results
from bench.suite.metrics import metric_of

_LISTED = 3  # cells that a message lists


def find_cell(results: Results, given: str) -> tuple[Cell, CellResult]:
    """Return the cell whose id begins with `given`, and its result.

    Raises:
        UserError: No cell or several cells match, the cell has no number, or it does not measure
            classification accuracy.
    """
    cells: dict[str, Cell] = {}
    for cell in results.cells:
        cells.setdefault(cell.id, cell)  # models with equal content share cells
    found = [cell for key, cell in cells.items() if key.startswith(given)]
    if len(found) != 1:
        listed = [f"{cell.id} ({describe(cell)})" for cell in found[:_LISTED]]
        listed += ["..."] if len(found) > _LISTED else []
        matches = f"{len(found)} cells begin with it: {', '.join(listed)}"
        raise UserError(
            f"--cell: got {given!r}; {matches if found else 'no cell begins with it'}; allowed: "
            f"a cell_id of {results.store.folder / 'cells.csv'}, or its first characters if only "
            "this cell has them"
        )
    (cell,) = found
    named = f"--cell: got {given!r}, which is {describe(cell)}"
    if not (metric_of(cell.metric).top_logit and cell.task.labels == "classes"):
        raise UserError(
            f"{named}, {cell.metric}; allowed: cells of accuracy, because pages of images exist "
            "only for classification"
        )
    stored = results.by_id.get(cell.id)
    result = stored.whole() if stored else None
    if result is None or result.status != "ok":
        status = f"{result.status}: {result.reason}" if result else "not run yet"
        raise UserError(f"{named} ({status}); allowed: cells with status ok")
    return cell, result


def choose_rows(results: Results, cell: Cell, result: CellResult, count: int) -> list[int]:
    """Return the rows of a result to show: half wrong and half right, if there are enough.

    Among the wrong images, those that were right without the attack come first. The suite's seed
    draws the images of each outcome by a hash of their ids, so that cells on the same images show
    the same images where their outcomes agree.
    """
    before = _without_attack(results, cell)
    by_outcome: dict[ImageOutcome, list[str]] = {"broken": [], "robust": [], "wrong": []}
    for key, right in zip(result.sample_ids, result.correct, strict=True):
        outcome: ImageOutcome = (
            "robust" if right else "broken" if before.get(key, True) else "wrong"
        )
        by_outcome[outcome].append(key)
    wrong = len(by_outcome["broken"]) + len(by_outcome["wrong"])
    right_count = max(count // 2, count - wrong)
    robust = choose(by_outcome["robust"], right_count, results.suite.seed)
    broken = choose(by_outcome["broken"], count - len(robust), results.suite.seed)
    others = choose(by_outcome["wrong"], count - len(robust) - len(broken), results.suite.seed)
    return _rows((*broken, *robust, *others), result)


def _rows(keys: Sequence[str], result: CellResult) -> list[int]:
    rows = {key: row for row, key in enumerate(result.sample_ids)}
    return [rows[key] for key in keys]


def _without_attack(results: Results, cell: Cell) -> dict[str, bool]:
    """Return by image whether the target is right without attack; empty if that is unknown."""
    for other, result in results.cells_with_results:
        clean = other.attack is None
        if clean and (other.target, other.dataset) == (cell.target, cell.dataset):
            if result is None or result.status != "ok":
                continue
            return dict(zip(result.sample_ids, result.correct.tolist(), strict=True))
    return {}
