"""Sizes of all figures, and functions that write figures to files."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

WIDTH = 3.35  # inches: one paper column (8.5 cm), so that font sizes are correct in print
SMALL, SMALLEST = 7, 6  # points
_STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.2,
    "lines.markeredgewidth": 0.7,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "svg.hashsalt": "radapt",
}
ORDERED = "cividis"  # larger values are lighter, so it is readable in greyscale


def styled() -> AbstractContextManager[None]:
    """Return a context manager that sets matplotlib's style for the figures made inside it."""
    return mpl.rc_context(_STYLE)


def write(figure: Figure, table: pd.DataFrame, stem: str | Path) -> None:
    """Write a figure and its table as `<stem>.png`, `<stem>.svg` and `<stem>.csv`."""
    draw(figure, stem)
    table.to_csv(f"{stem}.csv", index=False, float_format="%.6g")


def draw(figure: Figure, stem: str | Path) -> None:
    """Write a figure as `<stem>.png` and `<stem>.svg`."""
    path = Path(stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    # without dates and versions the same figure has the same bytes
    figure.savefig(f"{path}.png", metadata={"Software": None})
    figure.savefig(f"{path}.svg", dpi=150, metadata={"Date": None, "Creator": None})
