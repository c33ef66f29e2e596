"""Read accuracies from the harness's `cells.csv` and from published tables into one format."""

from fractions import Fraction
from pathlib import Path

import pandas as pd

COLUMNS = {
    **dict.fromkeys(("series", "x", "dataset", "threat", "attack", "eps", "measure"), "str"),
    "n": "Int64",  # missing for published points
    **dict.fromkeys(("value", "ci_low", "ci_high"), "float64"),
}
PUBLISHED = "published"
_CELL_COLUMNS = ("model", "dataset", "threat", "source", "attack", "eps", "status", "n", "value")
# names of Table 6, and the names of the same models in suites/ablation.yaml
_ABLATION = {"CLIP + FRA": "FRA", "CLIP + GIF": "GIF", "R-Adapt+": "FRA+GIF"}


def read_cells(path: str | Path) -> pd.DataFrame:
    """Read the harness's `cells.csv`. Models named `none` or `nan` are read as text.

    Raises:
        ValueError: The file lacks a column of `cells.csv`.
    """
    cells = pd.read_csv(path, dtype={"eps": str}, keep_default_na=False, na_values=[""])
    if missing := [name for name in _CELL_COLUMNS if name not in cells]:
        raise ValueError(f"{path}: no column {missing[0]!r}; the cells.csv of a suite is needed")
    return cells


def good_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a number; missing threats, sources and radii become empty texts."""
    good = cells[cells["status"] == "ok"]
    # pandas reads an empty column as numbers
    texts = {name: good[name].astype(object).fillna("") for name in ("threat", "source", "eps")}
    return good.assign(**texts)


def accuracy_points(
    cells: pd.DataFrame, *, attack: str = "apgd-ce", eps: str | None = None
) -> pd.DataFrame:
    """Return each model's clean accuracy, and its robust accuracy for one attack and radius.

    Args:
        cells: The harness's table, one row per cell, with the columns `model, dataset, threat,
            source, attack, eps, n, value, ci_low, ci_high, status`; values are in [0,1].
        attack: Name of the attack for robust accuracy.
        eps: Radius of the attack, as written in the table; None for the largest radius.

    Returns:
        Columns `series, x, dataset, threat, attack, eps, measure, n, value, ci_low, ci_high`.
        `series` is the model, `x` is empty, and `measure` is `clean` or `robust`. The threat of
        clean rows is empty.

    Raises:
        ValueError: The table has no cells of this attack and radius.
    """
    good = good_cells(cells)
    attacked = good[good["attack"] == attack]
    budgets = sorted(attacked["eps"].unique(), key=Fraction)
    budget = eps or (budgets[-1] if budgets else None)
    if budget not in budgets:
        known = good[["attack", "eps"]].drop_duplicates().agg("@".join, axis=1)
        raise ValueError(f"no cells of {attack}@{budget}; allowed: {', '.join(known)}")
    clean = good[good["attack"] == "clean"].assign(measure="clean", threat="")
    robust = attacked[attacked["eps"] == budget].assign(measure="robust")
    transfer = robust["threat"] == "transfer"
    robust.loc[transfer, "threat"] = "transfer from " + robust.loc[transfer, "source"]
    points = pd.concat([clean, robust]).rename(columns={"model": "series"}).assign(x="")
    return points[list(COLUMNS)].astype(COLUMNS).reset_index(drop=True)


def published_ablation(path: str | Path) -> pd.DataFrame:
    """Read the paper's Table 6 into the columns of `accuracy_points`, with the suite's model names.

    Args:
        path: A table with the columns `table, model, dataset, attack, eps, value_percent`.

    Raises:
        ValueError: The file has no rows of Table 6.
    """
    tables = pd.read_csv(path, keep_default_na=False)
    rows = tables[tables["table"] == "Table 6"] if "table" in tables else tables.iloc[:0]
    if rows.empty:
        raise ValueError(f"{path}: no rows of Table 6")
    measures = ["clean" if attack == "clean" else "robust" for attack in rows["attack"]]
    return published(rows.assign(series=rows["model"].replace(_ABLATION), x="", measure=measures))


def published(points: pd.DataFrame) -> pd.DataFrame:
    """Convert published points with `value_percent` to the columns of `accuracy_points`.

    They have no intervals. Their threat is `published`, because the paper does not state it.
    """
    points = points.assign(value=points["value_percent"] / 100, threat=PUBLISHED)
    return points.reindex(columns=list(COLUMNS)).astype(COLUMNS).reset_index(drop=True)
