"""Which cell is looked at, and which of its images."""

from collections.abc import Sequence

from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.data.split import choose
from bench.plan.cells import Cell
from bench.plan.labels import describe
from bench.report.image_viewer.shown_images import Verdict
from bench.store.snapshot import Results
from bench.suite.metrics import metric_of

_TOLD = 3  # cells that a message names


def find_cell(results: Results, given: str) -> tuple[Cell, CellResult]:
    """Return the one cell whose id begins as `given` does, with its result.

    Raises:
        UserError: There is none or more than one, it has no number, or it is one of retrieval.
    """
    cells: dict[str, Cell] = {}
    for cell in results.cells:
        cells.setdefault(cell.id, cell)  # models of equal content share their cells
    found = [cell for key, cell in cells.items() if key.startswith(given)]
    if len(found) != 1:
        told = [f"{cell.id} ({describe(cell)})" for cell in found[:_TOLD]]
        told += ["..."] if len(found) > _TOLD else []
        raise UserError(
            f"--cell: got {given!r}, "
            + (f"as {len(found)} cells begin: {', '.join(told)}" if found else "as no cell begins")
            + f"; allowed: a cell_id of {results.store.folder / 'cells.csv'}, or the first "
            "letters of one if no other has them"
        )
    (cell,) = found
    named = f"--cell: got {given!r}, which is {describe(cell)}"
    if not (metric_of(cell.metric).top_logit and cell.task.labels == "classes"):
        raise UserError(
            f"{named}, {cell.metric}; allowed: cells of accuracy, as pages of images exist for "
            "classification only"
        )
    result = results.by_id.get(cell.id)
    if result is None or result.status != "ok":
        said = f"{result.status}: {result.reason}" if result else "not run yet"
        raise UserError(f"{named} ({said}); allowed: cells that are ok")
    return cell, result


def choose_rows(results: Results, cell: Cell, result: CellResult, count: int) -> list[int]:
    """Return the rows of a result that are shown: half of them wrong, half right, where it can be.

    Of the wrong ones, those come first that were right without the attack. Within each kind a
    sample is drawn as datasets' are, so that cells on the same images show the same ones as far as
    their outcomes let them.
    """
    before = _without_attack(results, cell)
    kinds: dict[Verdict, list[str]] = {"broken": [], "stands": [], "wrong": []}
    for key, right in zip(result.sample_ids, result.correct, strict=True):
        kinds["stands" if right else "broken" if before.get(key, True) else "wrong"].append(key)
    wrong = len(kinds["broken"]) + len(kinds["wrong"])
    few = max(count // 2, count - wrong)  # right ones
    stands = choose(kinds["stands"], few, results.suite.seed)
    broken = choose(kinds["broken"], count - len(stands), results.suite.seed)
    others = choose(kinds["wrong"], count - len(stands) - len(broken), results.suite.seed)
    return _rows((*broken, *stands, *others), result)


def _rows(keys: Sequence[str], result: CellResult) -> list[int]:
    places = {key: row for row, key in enumerate(result.sample_ids)}
    return [places[key] for key in keys]


def _without_attack(results: Results, cell: Cell) -> dict[str, bool]:
    """Return by image whether the target is right without an attack, where that is known."""
    for other, result in results.cells_with_results:
        clean = other.attack is None
        if clean and (other.target, other.dataset) == (cell.target, cell.dataset):
            if result is None or result.status != "ok":
                continue
            return dict(zip(result.sample_ids, result.correct.tolist(), strict=True))
    return {}
