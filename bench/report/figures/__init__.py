"""Figures of a suite's results for papers, in the style of `radapt.figures`, each beside its table.

Each is written as `<stem>.csv`, `.png`, `.svg` and `.pdf`: the same bytes for the same results.
No meaning is carried by colour alone. Needs the `plot` extra.
"""

from pathlib import Path

from bench.report.export.leaderboard_values import Boards, columns
from bench.report.figures.bars import bars
from bench.report.figures.curves import curves
from bench.report.figures.tradeoff import tradeoff
from bench.results.number_format import scale_of_suite
from bench.suite.load import Suite


def draw(suite: Suite, boards: Boards, folder: Path) -> None:
    """Draw the trade-off, bars per dataset and accuracy against the budget."""
    ranked = {row.model for row in boards[""]}  # a source of images may have no row
    places = {name: place for place, name in enumerate(suite.models) if name in ranked}
    scale = scale_of_suite(suite)
    tradeoff(boards[""], places, scale, folder / "tradeoff")
    bars(boards, places, scale, folder / "bars")
    curves(boards[""], columns(suite), places, scale, folder / "curves")
