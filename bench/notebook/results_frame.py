"""What `load_results` returns: the rows of `cells.csv` with the suite's leaderboard and figures.

pandas recommends to register an accessor rather than to derive a class. An accessor can neither
change how a notebook shows the rows, nor add to `.plot`, so this is a class. It changes nothing
else: all that pandas derives from it (a selection, a copy, a group) is a plain DataFrame. So nobody
draws the leaderboard of a part of the rows, which would need the outcome of each image.
"""

import importlib.util
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from pandas.io.formats.style import Styler
from pandas.plotting import PlotAccessor

from bench.core.errors import UserError
from bench.notebook.stored_leaderboard import StoredLeaderboard, read_leaderboard
from bench.notebook.styled_leaderboard import styled_leaderboard
from bench.results.tables import read_cells
from radapt.optional_packages import not_installed

_SHOWN = 20  # rows of the leaderboard below a notebook's cell; `leaderboard` shows all
_SCREEN = 96  # pixels per inch in a browser


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with its numbers; a notebook shows the figure.

    Attributes:
        files: The figure as PNG, SVG and PDF, and its numbers as CSV, by suffix.
        table: Its numbers.
    """

    files: Mapping[str, bytes]
    table: pd.DataFrame

    def save(self, stem: str | Path) -> None:
        """Write `<stem>.png`, `.svg`, `.pdf` and `.csv`."""
        for suffix, content in self.files.items():
            Path(f"{stem}{suffix}").write_bytes(content)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        content = self.files[".png"]
        width, height = struct.unpack(">II", content[16:24])  # of the header, at 300 dpi
        sizes = {"width": width * _SCREEN // 300, "height": height * _SCREEN // 300}
        return content, sizes


class ResultsPlot(PlotAccessor):
    """`DataFrame.plot` with the figures of `export --figures`."""

    def __init__(self, results: "ResultsFrame") -> None:
        """Plot these results."""
        super().__init__(results)
        self._results = results

    def tradeoff(self, dataset: str | None = None) -> Drawing:
        """Draw clean against worst-case accuracy, with the Pareto front.

        Args:
            dataset: A dataset of the suite; None for the mean over all datasets.

        Raises:
            UserError: matplotlib or the leaderboard is missing, or there is nothing to draw.
        """
        return self._draw("tradeoff", dataset)

    def curves(self, dataset: str | None = None) -> Drawing:
        """Draw accuracy against the radius of each attack.

        Args:
            dataset: A dataset of the suite; None for the mean over all datasets.

        Raises:
            UserError: matplotlib or the leaderboard is missing, or there is nothing to draw.
        """
        return self._draw("curves", dataset)

    def _draw(self, name: str, dataset: str | None) -> Drawing:
        if importlib.util.find_spec("matplotlib") is None:
            raise UserError(not_installed("matplotlib"))
        from bench.report.figures import model_indices  # this and the next import matplotlib
        from bench.report.figures.curves import curves
        from bench.report.figures.tradeoff import tradeoff

        board = self._results.stored_leaderboard()
        rows = board.rows(dataset)
        indices = model_indices(board.models, rows)
        with TemporaryDirectory() as folder:
            stem = Path(folder) / name
            if name == "tradeoff":
                tradeoff(rows, indices, board.scale, stem)
            else:
                curves(rows, board.columns, indices, board.scale, stem)
            files = {path.suffix: path.read_bytes() for path in sorted(Path(folder).iterdir())}
            if not files:
                raise UserError(f"suite {board.suite}: no attack has a number that can be drawn")
            return Drawing(files, pd.read_csv(f"{stem}.csv", keep_default_na=False))


class ResultsFrame(pd.DataFrame):
    """The rows of `cells.csv`; see the module."""

    _metadata = ["_folder"]  # noqa: RUF012  (pandas reads the list: these are no columns)
    _folder: Path

    @property
    def plot(self) -> ResultsPlot:
        """Plots of pandas, `plot.tradeoff()` and `plot.curves()`."""
        return ResultsPlot(self)

    def stored_leaderboard(self) -> StoredLeaderboard:
        """Return the leaderboards of the results folder, with intervals.

        Raises:
            UserError: There is no `leaderboard.json`, or an earlier version wrote it.
        """
        return read_leaderboard(self._folder)

    def leaderboard(self, dataset: str | None = None) -> Styler:
        """Return the leaderboard as a styled table; its attribute `data` is a DataFrame.

        Args:
            dataset: A dataset of the suite; None for the mean over all datasets.

        Raises:
            UserError: The dataset is unknown, or there is no `leaderboard.json` of this version.
        """
        board = self.stored_leaderboard()
        return styled_leaderboard(board, board.rows(dataset))

    def _repr_html_(self) -> str | None:
        try:
            board = self.stored_leaderboard()
        except UserError:  # there are rows to show nevertheless
            return self.to_html(max_rows=_SHOWN)
        rows = board.rows(None)
        about = f"{len(self)} cells, {len(board.models)} models, {len(board.boards) - 1} datasets"
        more = f"; the first {_SHOWN} of {len(rows)} rows" if len(rows) > _SHOWN else ""
        table = styled_leaderboard(board, rows[:_SHOWN]).to_html()
        unit = board.scale.of(board.scale.name)
        return f"<p><b>{escape(board.suite)}</b>: {about}; {escape(unit)}{more}</p>{table}"


def load_results(folder: str | Path) -> ResultsFrame:
    """Read the results of a suite: one row per cell.

    `value` is a fraction in [0,1], except for the metric `cider`, which is from 0 to 10.

    Args:
        folder: The results folder of a suite.

    Returns:
        A DataFrame with the columns of `cells.csv`. In a notebook it shows the leaderboard.
    """
    frame = ResultsFrame(read_cells(Path(folder) / "cells.csv"))
    frame._folder = Path(folder).absolute()
    return frame
