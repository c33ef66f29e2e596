"""Formats numbers for readers."""

import pandas as pd

from bench.results.number_format import PERCENT, Scale
from bench.results.spreadsheet import DIGITS


def rounded(value: float) -> float:
    """Return a number rounded as in the CSV tables."""
    return float(f"{value:.{DIGITS}g}")


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal; a dash for None."""
    return shown(value, PERCENT)


def shown(value: float | None, scale: Scale) -> str:
    """Return a number formatted on its scale; a dash for None."""
    return "–" if value is None or pd.isna(value) else scale.text(value)
