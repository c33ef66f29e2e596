"""Tables for papers and notebooks, from the rows of `load_results`."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.core.types import ANYTIME, CLEAN
from bench.stats import Interval, mean_of
from bench.suite.metrics import metric_of

ROW = ["threat", "source", "model"]  # key columns of an attacked number, besides its dataset


def pivot(results: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Arrange rows by dataset and attack.

    Args:
        results: Rows of `load_results`; rows of `worst_case` may be added.
        metric: Name of the metric; the main metric of the task if None.

    Returns:
        One row per threat, source, model and dataset, in the order of `results`; one column for
        clean images and one per attack and budget. Values are on the scale of their metric,
        averaged over the seeds of an attack, and NaN if a seed has no value.
    """
    rows = _rows_of_metric(results, metric)
    attacked = rows[rows["attack"] != CLEAN]
    clean = rows[rows["attack"] == CLEAN].drop(columns=["threat", "source"])
    if not attacked.empty:  # repeat clean numbers for each threat
        clean = clean.merge(attacked[ROW].drop_duplicates(), on="model")
    else:
        clean = clean.assign(threat="", source="")
    together = pd.concat([clean, attacked])
    keys = [*ROW, "dataset"]
    values = together.groupby([*keys, "column"], sort=False)["value"].agg(_mean_or_nan)
    table = values.unstack("column")  # with `sort=False`, pandas 2.2.0 exchanges values
    order = pd.MultiIndex.from_frame((together if attacked.empty else attacked)[keys])
    table = table.reindex(order.drop_duplicates(), columns=together["column"].unique())
    return table.rename_axis(columns=None)


def trade_off(results: pd.DataFrame) -> pd.DataFrame:
    """Return clean and robust accuracy, as means over all datasets with their 95% intervals.

    The intervals are those of `bench.stats.mean_of`. All seeds of an attack use the same images, so
    each image counts once. There is no mean if a dataset has no number. `cells.csv` lacks the
    per-image scores of a graded metric, so the widest possible interval is given for it.

    Args:
        results: Rows of `load_results`; rows of `worst_case` may be added. Only rows of the task's
            main metric are used.

    Returns:
        One row per threat, source, model, attack and budget: `threat, source, model, attack, clean,
        clean_low, clean_high, robust, robust_low, robust_high, n, datasets`. `attack` is a column
        name of the leaderboard, and `n` the number of attacked images.
    """
    rows = _rows_of_metric(results, None)
    datasets = rows["dataset"].unique().tolist()
    clean = {
        str(model): _mean(some, datasets)
        for model, some in rows[rows["attack"] == CLEAN].groupby("model", sort=False)
    }
    found = []
    for key, some in rows[rows["attack"] != CLEAN].groupby([*ROW, "column"], sort=False):
        counts = some.groupby("dataset", sort=False)["n"].first()
        found.append(
            {
                **dict(zip([*ROW, "attack"], key, strict=True)),
                **_interval_columns(CLEAN, clean.get(str(key[2]))),
                **_interval_columns("robust", _mean(some, datasets)),
                "n": int(counts.sum()),
                "datasets": len(datasets),
            }
        )
    return pd.DataFrame(found)


def _rows_of_metric(results: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    """Return the rows of a metric, with their column name in the leaderboard."""
    known = results["metric"].unique().tolist()
    wanted = [name for name in known if name == metric or (not metric and metric_of(name).is_main)]
    if not wanted:
        raise ValueError(f"metric: got {metric!r}; allowed: {', '.join(known) or 'none'}")
    rows = results[results["metric"].isin(wanted)]
    rows = rows.assign(column=[*_columns(rows)])
    return rows.sort_values([*ROW, "dataset"], key=_order_of_first_appearance, kind="stable")


def _order_of_first_appearance(column: "pd.Series[str]") -> "pd.Series[int]":
    """Return for each entry the position of its value among the distinct values."""
    return pd.Series(pd.factorize(column)[0], column.index)


def _columns(rows: pd.DataFrame) -> Iterator[str]:
    for attack, norm, eps in zip(rows["attack"], rows["norm"], rows["eps"], strict=True):
        ending = "" if norm in ("", "Linf") else f"-{norm.lower()}"
        yield attack if attack == CLEAN else f"{attack}{ending}@{eps}"


def _mean_or_nan(values: "pd.Series[float]") -> float:
    return float(values.mean(skipna=False))


def _mean(rows: pd.DataFrame, datasets: list[str]) -> Interval | None:
    by_dataset = rows.groupby("dataset", sort=False)
    best = metric_of(rows["metric"].iloc[0]).highest
    rates = by_dataset["value"].agg(_mean_or_nan).reindex(datasets) / best
    if rates.isna().any():
        return None
    n = by_dataset["n"].first().reindex(datasets).to_numpy(np.int64)
    anytime = any(ANYTIME in flags.split() for flags in rows["flags"])
    return mean_of((rates.to_numpy() * n).tolist(), n.tolist(), anytime=anytime).scaled(best)


def _interval_columns(name: str, mean: Interval | None) -> dict[str, float]:
    found = (mean.value, mean.low, mean.high) if mean else (np.nan,) * 3
    return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
