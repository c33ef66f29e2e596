"""Read accuracies off tables, the harness's and the paper's, into one form."""

from fractions import Fraction
from pathlib import Path

import pandas as pd

COLUMNS = {
    **dict.fromkeys(("series", "x", "dataset", "threat", "attack", "eps", "measure"), "str"),
    "n": "Int64",  # published points have none
    **dict.fromkeys(("value", "ci_low", "ci_high"), "float64"),
}
PUBLISHED = "published"
_OF_CELLS = ("model", "dataset", "threat", "source", "attack", "eps", "status", "n", "value")
# Table 6's names of what suites/ablation.yaml calls FRA, GIF and FRA+GIF
_ABLATION = {"CLIP + FRA": "FRA", "CLIP + GIF": "GIF", "R-Adapt+": "FRA+GIF"}


def read_cells(path: str | Path) -> pd.DataFrame:
    """Read the harness's `cells.csv`; a model may be called `none` or `nan`.

    Raises:
        ValueError: It is another table.
    """
    cells = pd.read_csv(path, dtype={"eps": str}, keep_default_na=False, na_values=[""])
    if missing := [name for name in _OF_CELLS if name not in cells]:
        raise ValueError(f"{path}: no column {missing[0]!r}; the cells.csv of a suite is needed")
    return cells


def good_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that hold a number; what does not apply to them is an empty text."""
    good = cells[cells["status"] == "ok"]
    # a column that is empty throughout was read as one of numbers
    texts = {name: good[name].astype(object).fillna("") for name in ("threat", "source", "eps")}
    return good.assign(**texts)


def accuracy_points(
    cells: pd.DataFrame, *, attack: str = "apgd-ce", eps: str | None = None
) -> pd.DataFrame:
    """Return each model's clean accuracy and that under one attack at one budget.

    Args:
        cells: One row per number, with the columns `model, dataset, threat, source, attack, eps,
            n, value, ci_low, ci_high, status`; numbers are fractions.
        attack: The attack that robust accuracy is read at.
        eps: Its budget as the table has it; the largest one when not given.

    Returns:
        Columns `series, x, dataset, threat, attack, eps, measure, n, value, ci_low, ci_high`.
        `series` is the model, `x` empty, `measure` is `clean` or `robust`; clean rows belong to
        every threat, and name none.

    Raises:
        ValueError: No model was attacked so.
    """
    good = good_cells(cells)
    attacked = good[good["attack"] == attack]
    budgets = sorted(attacked["eps"].unique(), key=Fraction)
    budget = eps or (budgets[-1] if budgets else None)
    if budget not in budgets:
        known = good[["attack", "eps"]].drop_duplicates().agg("@".join, axis=1)
        raise ValueError(f"no cells of {attack}@{budget}; there are {', '.join(known)}")
    clean = good[good["attack"] == "clean"].assign(measure="clean", threat="")
    robust = attacked[attacked["eps"] == budget].assign(measure="robust")
    transfer = robust["threat"] == "transfer"
    robust.loc[transfer, "threat"] = "transfer from " + robust.loc[transfer, "source"]
    points = pd.concat([clean, robust]).rename(columns={"model": "series"}).assign(x="")
    return points[list(COLUMNS)].astype(COLUMNS).reset_index(drop=True)


def published_ablation(path: str | Path) -> pd.DataFrame:
    """Read Table 6 into the columns of `accuracy_points`, models named as in the suite.

    Args:
        path: A table with the columns `table, model, dataset, attack, eps, value_percent`.

    Raises:
        ValueError: It has no rows of Table 6.
    """
    tables = pd.read_csv(path, keep_default_na=False)
    rows = tables[tables["table"] == "Table 6"] if "table" in tables else tables.iloc[:0]
    if rows.empty:
        raise ValueError(f"{path}: no rows of Table 6")
    measures = ["clean" if attack == "clean" else "robust" for attack in rows["attack"]]
    return published(rows.assign(series=rows["model"].replace(_ABLATION), x="", measure=measures))


def published(points: pd.DataFrame) -> pd.DataFrame:
    """Bring published points, of `value_percent`, to the columns of `accuracy_points`.

    They have no intervals; the threat is named `published`, since the paper does not state it.
    """
    points = points.assign(value=points["value_percent"] / 100, threat=PUBLISHED)
    return points.reindex(columns=list(COLUMNS)).astype(COLUMNS).reset_index(drop=True)
