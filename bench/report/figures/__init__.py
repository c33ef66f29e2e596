"""Figures of a suite's results for papers, in the style of `radapt.figures`.

Each figure is written as `<stem>.png`, `.svg` and `.pdf`, with its numbers as `<stem>.csv`. Equal
results give equal bytes. Colours always go with markers or hatches. Needs the `plot` extra.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.report.export.leaderboard_values import Boards, Row, columns
from bench.report.figures.bars import bars
from bench.report.figures.curves import curves
from bench.report.figures.figure_style import ModelIndices
from bench.report.figures.tradeoff import tradeoff
from bench.results.number_format import scale_of_suite
from bench.suite.load import Suite


def draw(suite: Suite, boards: Boards, folder: Path) -> None:
    """Draw clean against robust accuracy, bars per dataset, and accuracy against the radius."""
    indices = model_indices(tuple(suite.models), boards[""])
    scale = scale_of_suite(suite)
    tradeoff(boards[""], indices, scale, folder / "tradeoff")
    bars(boards, indices, scale, folder / "bars")
    curves(boards[""], columns(suite), indices, scale, folder / "curves")


def model_indices(models: Sequence[str], rows: Sequence[Row]) -> ModelIndices:
    """Return the index in the suite of each model with a row; a mere source has none."""
    ranked = {row.model for row in rows}
    return {name: index for index, name in enumerate(models) if name in ranked}
