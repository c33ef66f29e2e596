"""Tables that need per-image results and so cannot be made from `cells.csv`.

Their rows have columns of `load_results`, so both kinds of rows can be concatenated.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bench.core.errors import CellError, UserError
from bench.core.resolved_names import DatasetLock
from bench.core.types import Values
from bench.data import read_labels
from bench.results.leaderboard import attacked_counts, survivors
from bench.results.tables import Scored, cells_frame, load_scored
from bench.stats import design_effect, wilson
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import DatasetSpec, eps_value

WORST = "worst"
_WORST = (
    *("suite", "model", "dataset", "task", "threat", "source", "attack", "norm", "eps"),
    *("n", "metric", "value", "ci_low", "ci_high", "status"),
)
_CELL = (
    *("cell_id", "model", "dataset", "threat", "source", "attack", "norm", "eps", "metric", "seed"),
)


def worst_case(suite: Suite, results: str | Path = "results") -> pd.DataFrame:
    """Return the share of images that survive all attacks at the largest Linf radius, per dataset.

    For graded metrics, the mean of the lowest score of each image. The leaderboard's `worst` is the
    mean of these values over datasets.

    Args:
        suite: The suite.
        results: Folder with the results of all suites.

    Returns:
        One row per model, threat, source and dataset, with columns of `load_results`; `attack` is
        `worst`. Rows without a number are left out.
    """
    radii = [eps for attack in suite.attacks if attack.norm == "linf" for eps in attack.eps]
    largest = max(radii, key=eps_value, default="")
    scored = load_scored(read_results(suite, Store(Path(results), suite.suite)))
    found, sizes = survivors(suite, scored), attacked_counts(suite, scored)
    constant = {
        "suite": suite.suite,
        "attack": WORST,
        "norm": "Linf",
        "eps": largest,
        "status": "ok",
    }
    rows = [
        {
            **constant,
            "model": model,
            "dataset": dataset.name,
            "threat": threat,
            "source": source,
            "task": (metric := metrics_of(dataset)[0]).task.title,
            "metric": metric.name,
            "n": len(shares),
            **_rate(shares, images, metric.highest),
        }
        for (model, threat, source), vectors in found.items()
        for dataset, shares, images in zip(suite.datasets, vectors, sizes, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*_WORST])


def per_class(suite: Suite, results: str | Path = "results") -> pd.DataFrame:
    """Return the accuracy of every cell per class.

    Labels are read from the datasets, which must be available and unchanged; no image is decoded.

    Args:
        suite: A classification suite.
        results: Folder with the results of all suites.

    Returns:
        One row per cell with status `ok` and class with images: `cell_id, model, dataset, threat,
        source, attack, norm, eps, metric, seed, label, class, n, value, ci_low, ci_high`.

    Raises:
        UserError: A dataset is not available, has changed since it was scored, or has no class
            labels.
    """
    stored = read_results(suite, Store(Path(results), suite.suite))
    scored = [item for item in load_scored(stored) if item.shares is not None]
    lock = stored.lock
    used = {item.cell.dataset for item in scored}
    datasets = [dataset for dataset in suite.datasets if dataset.name in used]
    known = {d.name: lock.whole.get(d.name) or lock.datasets[d.name] for d in datasets}
    labels = {d.name: _labels(d, known[d.name]) for d in datasets}
    cells = cells_frame(suite, scored)[[*_CELL]].to_dict("records")
    rows = [
        {
            **cell,
            "label": label,
            "class": known[item.cell.dataset].classes[label],
            "n": len(shares),
            **_rate(shares, len(shares), item.metric.highest),
        }
        for cell, item in zip(cells, scored, strict=True)
        for label, shares in _by_label(item, labels[item.cell.dataset])
    ]
    columns = [*_CELL, "label", "class", "n", "value", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})


def _labels(dataset: DatasetSpec, known: DatasetLock) -> dict[str, int]:
    try:
        return read_labels(dataset, known)
    except CellError as error:
        message = f"datasets.{dataset.name}: accuracy per class needs its labels: {error}"
        raise UserError(message) from error


def _by_label(item: Scored, labels: dict[str, int]) -> Iterator[tuple[int, Values]]:
    result, shares = item.result, item.shares
    assert result is not None and shares is not None
    found = np.array([labels[key] for key in result.sample_ids])
    for label in np.unique(found).tolist():
        yield label, shares[found == label]


def _rate(shares: Values, images: int, best: float = 1.0) -> dict[str, float]:
    mean, size = float(shares.mean()), images / float(design_effect(shares))
    low, high = wilson(mean * size, size)
    return {"value": mean * best, "ci_low": low * best, "ci_high": high * best}
