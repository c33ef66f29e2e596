"""Tables that need per-image results and so cannot be made from `cells.csv`.

Their rows have columns of `load_results`, so both kinds of rows can be concatenated.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.core.errors import CellError, UserError
from bench.core.resolved_names import DatasetLock
from bench.core.types import ANYTIME, WORST, Values
from bench.data import read_answer_types, read_labels
from bench.results.board_cells import board_cells
from bench.results.tables import Scored, cells_frame, load_scored
from bench.results.worst_case import attacked_counts, stopped_early, survivors
from bench.stats import design_effect, rate_interval
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.metrics import image_id_of, metrics_of
from bench.suite.specs import DatasetSpec, eps_value

_WORST = (
    *("suite", "model", "dataset", "task", "threat", "source", "attack", "norm", "eps"),
    *("n", "metric", "value", "ci_low", "ci_high", "status", "flags"),
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
    cells = board_cells(suite, scored)
    found, sizes, early = survivors(cells), attacked_counts(cells), stopped_early(cells)
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
            **_rate(shares, images, metric.highest, anytime=sequential),
            "flags": ANYTIME if sequential else "",
        }
        for (model, threat, source), vectors in found.items()
        for dataset, shares, size in zip(suite.datasets, vectors, sizes, strict=True)
        for sequential in [(model, threat, source) in early]
        for images in [len(shares) if sequential else size]
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
    scored, known = _with_numbers(suite, results)
    datasets = [dataset for dataset in suite.datasets if dataset.name in known]
    labels = {d.name: _labels(d, known[d.name], suite.seed) for d in datasets}
    rows = [
        {**row, "label": label, "class": known[row["dataset"]].classes[label], **values}
        for row, label, values in _by_group(suite, scored, labels)
    ]
    return _table(rows, "label", "class")


def per_answer_type(suite: Suite, results: str | Path = "results") -> pd.DataFrame:
    """Return the value of every cell of questions per type of answer: yes/no, number, other.

    The types are read from the datasets, which must be available and unchanged; no image is
    decoded. Datasets that state no types are left out.

    Args:
        suite: A suite with datasets of questions.
        results: Folder with the results of all suites.

    Returns:
        One row per cell with status `ok` and type of answer: `cell_id, model, dataset, threat,
        source, attack, norm, eps, metric, seed, answer_type, n, value, ci_low, ci_high`. `n` is the
        number of questions.

    Raises:
        UserError: A dataset is not available or has changed since it was scored, or no dataset
            states the types of its answers.
    """
    scored, known = _with_numbers(suite, results)
    asked = [d for d in suite.datasets if d.name in known and metrics_of(d)[0].task.answers]
    types = {d.name: _answer_types(d, known[d.name], suite.seed) for d in asked}
    typed = {name: found for name, found in types.items() if found}
    if not typed:
        raise UserError(
            f"suite {suite.suite}: no dataset with results states the types of its answers; "
            "VQA v2's annotation file does, as `answer_type`"
        )
    rows = [
        {**row, "answer_type": kind, **values}
        for row, kind, values in _by_group(suite, scored, typed)
    ]
    return _table(rows, "answer_type")


def _with_numbers(suite: Suite, results: str | Path) -> tuple[list[Scored], dict[str, DatasetLock]]:
    """Return the cells that have a number, and the locks of their datasets."""
    stored = read_results(suite, Store(Path(results), suite.suite))
    scored = [item for item in load_scored(stored) if item.shares is not None]
    lock, used = stored.lock, {item.cell.dataset for item in scored}
    names = [dataset.name for dataset in suite.datasets if dataset.name in used]
    return scored, {name: lock.whole.get(name) or lock.datasets[name] for name in names}


def _labels(dataset: DatasetSpec, known: DatasetLock, seed: int) -> dict[str, int]:
    try:
        return read_labels(dataset, known, seed)
    except CellError as error:
        message = f"datasets.{dataset.name}: accuracy per class needs its labels: {error}"
        raise UserError(message) from error


def _answer_types(dataset: DatasetSpec, known: DatasetLock, seed: int) -> dict[str, str]:
    try:
        return read_answer_types(dataset, known, seed)
    except CellError as error:
        message = f"datasets.{dataset.name}: the types of its answers cannot be read: {error}"
        raise UserError(message) from error


def _by_group(
    suite: Suite, scored: Sequence[Scored], groups: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[dict[str, Any], Any, dict[str, float]]]:
    """Yield each cell's columns with a group of its samples and the value of that group.

    Args:
        suite: The suite.
        scored: Cells that have a number.
        groups: By dataset, the group of each sample. Cells of other datasets are left out.
    """
    grouped = [item for item in scored if item.cell.dataset in groups]
    cells = cells_frame(suite, grouped)[[*_CELL]].to_dict("records")
    for cell, item in zip(cells, grouped, strict=True):
        result, shares = item.result, item.shares
        assert result is not None and shares is not None
        group_of = groups[item.cell.dataset]
        found = np.array([group_of[key] for key in result.sample_ids])
        owners = np.array([image_id_of(key) for key in result.sample_ids])
        for group in np.unique(found).tolist():
            of_group = found == group
            n = int(of_group.sum())
            images = len(np.unique(owners[of_group])) if item.metric.shares_images else n
            rate = _rate(shares[of_group], images, item.metric.highest, anytime=item.anytime)
            row = {str(name): value for name, value in cell.items()}
            yield row, group, {"n": n, **rate}


def _table(rows: Sequence[Mapping[str, Any]], *groups: str) -> pd.DataFrame:
    columns = [*_CELL, *groups, "n", "value", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})


def _rate(shares: Values, images: int, best: float, *, anytime: bool) -> dict[str, float]:
    mean, size = float(shares.mean()), images / float(design_effect(shares))
    low, high = rate_interval(mean * size, size, anytime=anytime)
    return {"value": mean * best, "ci_low": low * best, "ci_high": high * best}
