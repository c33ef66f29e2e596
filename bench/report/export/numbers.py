"""How numbers are written for readers."""

import pandas as pd

from bench.results.number_format import PERCENT, Scale
from bench.results.spreadsheet import DIGITS


def rounded(value: float) -> float:
    """Return a number as a CSV table of ours has it."""
    return float(f"{value:.{DIGITS}g}")


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal; a dash where there is none."""
    return shown(value, PERCENT)


def shown(value: float | None, scale: Scale) -> str:
    """Return a number as its scale has it; a dash where there is none.

    A mean that is 0.58749999 for 0.5875 is rounded as whoever reads `leaderboard.csv` rounds it.
    """
    return "–" if value is None or pd.isna(value) else scale.text(rounded(value))
