"""Tables for papers and notebooks, from the rows of `load_results`."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.stats import Interval, mean_of
from bench.suite.metrics import metric_of

ROW = ["threat", "source", "model"]  # what a number of an attack is of, besides its dataset
CLEAN = "clean"


def pivot(results: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Lay rows out by dataset and attack.

    Args:
        results: Rows as `load_results` returns them; those of `worst_case` may be among them.
        metric: Which metric; the one that stands for the task if None.

    Returns:
        One row per threat, source, model and dataset, each in the order in which they come; one
        column for clean images and one per attack and budget. Values are on the scale of their
        metric, means over the seeds of an attack, and blank where a seed has none.
    """
    rows = _of(results, metric)
    attacked = rows[rows["attack"] != CLEAN]
    clean = rows[rows["attack"] == CLEAN].drop(columns=["threat", "source"])
    if not attacked.empty:  # clean numbers stand beside those of each threat
        clean = clean.merge(attacked[ROW].drop_duplicates(), on="model")
    else:
        clean = clean.assign(threat="", source="")
    together = pd.concat([clean, attacked])
    keys = [*ROW, "dataset"]
    values = together.groupby([*keys, "column"], sort=False)["value"].agg(_whole_mean)
    table = values.unstack("column", sort=False)
    order = pd.MultiIndex.from_frame((together if attacked.empty else attacked)[keys])
    return table.reindex(order.drop_duplicates()).rename_axis(columns=None)


def trade_off(results: pd.DataFrame) -> pd.DataFrame:
    """Set clean against attacked accuracy, as means over all datasets with their 95% intervals.

    The intervals are those of `bench.stats.mean_of`. The images of all seeds of an attack are the
    same, and count once. Where a dataset has no number there is no mean. Rows do not tell the
    single scores of a graded metric: its intervals are the widest that they may come from.

    Args:
        results: Rows as `load_results` returns them; those of `worst_case` may be among them. Those
            of the metric that stands for the task are used.

    Returns:
        One row per threat, source, model and attack at one budget: `threat, source, model, attack,
        clean, clean_low, clean_high, robust, robust_low, robust_high, n, datasets`; `attack` is
        called as in the leaderboard's columns, and `n` counts attacked images.
    """
    rows = _of(results, None)
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
                **_written(CLEAN, clean.get(str(key[2]))),
                **_written("robust", _mean(some, datasets)),
                "n": int(counts.sum()),
                "datasets": len(datasets),
            }
        )
    return pd.DataFrame(found)


def _of(results: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    """Return the rows of one metric, with the leaderboard's name of each one's column."""
    known = results["metric"].unique().tolist()
    wanted = [name for name in known if name == metric or (not metric and metric_of(name).is_main)]
    if not wanted:
        raise ValueError(f"metric: got {metric!r}; the results have {', '.join(known) or 'none'}")
    rows = results[results["metric"].isin(wanted)]
    rows = rows.assign(column=[*_columns(rows)])
    return rows.sort_values([*ROW, "dataset"], key=_appearance, kind="stable")


def _appearance(column: "pd.Series[str]") -> "pd.Series[int]":
    """Return for each entry which of the different ones it is, in the order in which they come."""
    return pd.Series(pd.factorize(column)[0], column.index)


def _columns(rows: pd.DataFrame) -> Iterator[str]:
    for attack, norm, eps in zip(rows["attack"], rows["norm"], rows["eps"], strict=True):
        ending = "" if norm in ("", "Linf") else f"-{norm.lower()}"
        yield attack if attack == CLEAN else f"{attack}{ending}@{eps}"


def _whole_mean(values: "pd.Series[float]") -> float:
    return float(values.mean(skipna=False))


def _mean(rows: pd.DataFrame, datasets: list[str]) -> Interval | None:
    by_dataset = rows.groupby("dataset", sort=False)
    best = metric_of(rows["metric"].iloc[0]).highest
    rates = by_dataset["value"].agg(_whole_mean).reindex(datasets) / best
    if rates.isna().any():
        return None
    n = by_dataset["n"].first().reindex(datasets).to_numpy(np.int64)
    return mean_of((rates.to_numpy() * n).tolist(), n.tolist()).times(best)


def _written(name: str, mean: Interval | None) -> dict[str, float]:
    found = (mean.value, mean.low, mean.high) if mean else (np.nan,) * 3
    return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
