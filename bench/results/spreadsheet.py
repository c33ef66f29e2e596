"""Texts in CSV files that a spreadsheet would take for formulas.

A spreadsheet computes a cell that begins with one of `= + - @`. In our files such a text has an
apostrophe before it, and so has one that begins with an apostrophe; reading takes one off.
"""

import pandas as pd

DIGITS = 6  # significant ones, of all numbers that tables and pages hold
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARK = "'"


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV that is harmless in a spreadsheet; numbers have six digits."""
    safe = frame.rename(columns=_escaped)
    for column in _texts(safe):
        safe[column] = safe[column].map(_escaped)
    return safe.to_csv(index=False, float_format=f"%.{DIGITS}g")


def unescaped(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table that was read from such a CSV with its texts as they were."""
    plain = frame.rename(columns=_unescaped)
    for column in _texts(plain):
        plain[column] = plain[column].map(_unescaped)
    return plain


def _texts(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]


def _escaped(value: object) -> object:
    if isinstance(value, str) and value.startswith((*_FORMULA, _MARK)):
        return f"{_MARK}{value}"
    return value


def _unescaped(value: object) -> object:
    if isinstance(value, str) and value.startswith(_MARK):
        return value[len(_MARK) :]
    return value
