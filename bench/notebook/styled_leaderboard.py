"""The leaderboard as a styled table of pandas."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bench.notebook.stored_leaderboard import StoredLeaderboard
from bench.report.export.leaderboard_values import Row, threat_name
from bench.results.number_format import Scale

_BAR = "#56B4E959"  # a light blue through which text is readable on white and on black
_MISSING = "–"


def styled_leaderboard(board: StoredLeaderboard, rows: Sequence[Row]) -> Styler:
    """Return rows of a leaderboard as a table with bars, the best of each threat model in bold.

    A tooltip of each number has its 95% interval. `Styler.data` has the numbers themselves.
    """
    scale, keys = board.scale, [column.key for column in board.columns]
    values = [[rate.value if (rate := row.rates[key]) else np.nan for key in keys] for row in rows]
    numbers = pd.DataFrame(values, columns=keys, dtype=float)
    threats = pd.Series([threat_name(row.threat, row.source) for row in rows], dtype="str")
    frame = pd.DataFrame(
        {
            "rank": pd.array([row.rank for row in rows], dtype="Int64"),
            "model": [row.model for row in rows],
            "threat": threats,
            **numbers,
            "images": [row.n for row in rows],
            "flags": [" ".join(row.flags) for row in rows],
        }
    )
    best = numbers.eq(numbers.groupby(threats).transform("max"))
    bold = pd.DataFrame(np.where(best, "font-weight: bold", ""), frame.index, keys)
    tips = pd.DataFrame(
        [[_interval(row, key, scale) for key in keys] for row in rows], columns=keys
    )
    highest = 1.0 if scale.unit else None
    rates, text = pd.Index(keys), cast("Callable[[object], str]", scale.text)
    return (
        frame.style.hide(axis="index")
        .format(escape="html", na_rep=_MISSING)  # names come from anyone
        .format(text, subset=rates, na_rep=_MISSING)
        .format_index(escape="html", axis="columns")
        .bar(subset=rates, vmin=0, vmax=highest, color=_BAR)
        .apply(lambda _: bold, axis=None, subset=rates)
        .set_properties(subset=pd.Index(["threat"]), **{"white-space": "nowrap"})
        .set_tooltips(tips, css_class="interval")
    )


def _interval(row: Row, key: str, scale: Scale) -> str:
    rate = row.rates[key]
    return f"{scale.text(rate.low)} to {scale.text(rate.high)}" if rate else ""
