"""Turns tallies into results that are stored, and stored results of parts back into tallies."""

import numpy as np
from numpy.typing import NDArray

from bench.core.types import CellResult, Facts
from bench.evaluate.tally import Tally, extra_fields
from bench.plan.cells import Cell
from bench.suite.metrics import metric_of


def result_of(cell: Cell, tally: Tally, spent: tuple[float, float], facts: Facts) -> CellResult:
    """Return the result of a cell or of a part of it.

    Args:
        cell: The cell.
        tally: Its results per image, with the time that was spent on it before.
        spent: Seconds that were spent on it now, without loading and on loading.
        facts: Its provenance.
    """
    seconds, load_seconds = spent
    graded = metric_of(cell.metric).graded
    return CellResult(
        cell.id, "ok", tally.correct, tally.sample_ids, tally.distance, seconds + tally.seconds,
        tally.forwards, facts, flags=tally.flags, scores=tally.scores if graded else None,
        texts=tuple(tally.texts), reached=tally.reached,
        load_seconds=load_seconds + tally.load_seconds, **tally.extra,
    )  # fmt: skip


def tally_of(kept: CellResult, cell: Cell) -> Tally:
    """Return the tally of a stored part."""
    # earlier versions stored these integers as text
    backwards, batch = (int(kept.provenance[name]) for name in ("backwards", "batch"))
    return Tally(
        kept.correct, kept.distance, kept.sample_ids, kept.flags, kept.queries, backwards,
        kept.seconds, batch, scores_of(kept) if cell.task.answers else None,
        list(kept.texts), kept.reached, extra_fields(kept), kept.load_seconds,
    )  # fmt: skip


def scores_of(result: CellResult) -> NDArray[np.float32]:
    """Return the score of each image; 0 or 1 if the result has only right and wrong."""
    return result.correct.astype(np.float32) if result.scores is None else result.scores
