"""How numbers are written for readers."""

import pandas as pd

DIGITS = 6  # of a fraction


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal; a dash where there is none.

    A mean that is 0.58749999 for 0.5875 is rounded as whoever reads `leaderboard.csv` rounds it.
    """
    return "–" if value is None or pd.isna(value) else f"{100 * round(value, DIGITS):.1f}"
