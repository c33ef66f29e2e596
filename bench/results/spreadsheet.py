"""CSV files whose texts a spreadsheet does not take for formulas.

A spreadsheet evaluates a cell that begins with `=`, `+`, `-` or `@`. An apostrophe is put before
such a text, and before a text that begins with an apostrophe; reading removes one apostrophe.
"""

from collections.abc import Iterable
from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # number formats are read from here by commands that need no tables
    import pandas as pd

DIGITS = 6  # significant digits of all numbers in tables and on pages
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARK = "'"
_ESCAPED = {*_FORMULA, _MARK}  # first characters of texts


def csv_text(frame: "pd.DataFrame") -> str:
    """Return a table as CSV with escaped texts; numbers have six significant digits."""
    safe = frame.rename(columns=escaped_text)
    for column in _text_columns(safe):
        safe[column] = safe[column].map(escaped_text)
    return safe.to_csv(index=False, float_format=f"%.{DIGITS}g")


def csv_row(values: Iterable[object]) -> list[object]:
    """Return a row for `csv.writer`, with the escaped texts and the numbers of `csv_text`."""
    return [
        value
        if isinstance(value, str) and value[:1] not in _ESCAPED  # as most are
        else _rounded(value)
        if isinstance(value, float)
        else escaped_text(value)
        for value in values
    ]


def _rounded(value: float) -> str:
    return "" if isnan(value) else f"{value:.{DIGITS}g}"


def unescaped(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table read from such a CSV file with its original texts."""
    found = frame.rename(columns=unescaped_text)
    for column in _text_columns(found):
        found[column] = found[column].map(unescaped_text)
    return found


def _text_columns(frame: "pd.DataFrame") -> list[str]:
    import pandas as pd

    return [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]


def escaped_text(value: object) -> object:
    """Return a text so that no spreadsheet takes it for a formula; other values as they are."""
    if isinstance(value, str) and value[:1] in _ESCAPED:
        return f"{_MARK}{value}"
    return value


def unescaped_text(value: object) -> object:
    """Return the original of an escaped text; other values as they are."""
    if isinstance(value, str) and value.startswith(_MARK):
        return value[len(_MARK) :]
    return value
