"""Turn stored results into pandas tables: one row per cell, and the leaderboard."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.metrics import CAPTION, counts_captions, metrics_of, suffix, task_named
from bench.plan import Cell, expand, still_valid
from bench.specs import eps_value, task_of
from bench.spreadsheet import plain
from bench.stats import ranks, wilson
from bench.store import Store
from bench.suite import Suite
from bench.types import Budget, CellResult

CELL_COLUMNS = (
    *("suite", "model", "dataset", "task", "threat", "source", "attack", "norm", "eps"),
    *("n", "metric", "value", "ci_low", "ci_high", "seconds", "queries"),
    *("status", "reason", "flags", "cell_id", "craft_id"),
)
SAME_SOURCE = "source=target"
INCOMPLETE = "incomplete"
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Scored:
    """A cell of the plan with its result, or None where it has not run yet."""

    cell: Cell
    result: CellResult | None

    @property
    def correct(self) -> NDArray[np.bool_] | None:
        """Per image, whether it was right; None unless the cell is ok."""
        if self.result is None or self.result.status != "ok":
            return None
        return self.result.correct

    @property
    def skipped(self) -> bool:
        """Whether the attack is not defined for the dataset."""
        return self.result is not None and self.result.status == "skip"

    @property
    def source(self) -> str:
        """Model that the images are crafted on where it is another's; the target needs no name."""
        return (self.cell.threat.source if self.cell.threat else None) or ""

    @property
    def column(self) -> str:
        """Name of the cell's column in the leaderboard."""
        name = self.cell.attack.column(self.cell.eps) if self.cell.attack else "clean"
        return f"{name}{suffix(self.cell.metric)}"


def load_scored(suite: Suite, store: Store) -> list[Scored]:
    """Pair the suite's cells, under the lock of its last run, with what is stored of them."""
    lock = still_valid(suite, store.lock())
    return [Scored(cell, store.get(cell.id)) for cell in expand(suite, lock)]


def load_results(folder: str | Path) -> pd.DataFrame:
    """Read the `cells.csv` of a results folder: one row per cell, `value` a fraction."""
    numbers = ("n", "value", "ci_low", "ci_high", "seconds", "queries")
    frame = pd.read_csv(
        Path(folder) / "cells.csv",
        dtype={name: str for name in CELL_COLUMNS if name not in numbers},
        keep_default_na=False,  # a model may be called "NA"
        na_values={name: [""] for name in numbers},
    )
    return plain(frame)


def cells_frame(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row per cell, in the order of the suite; cells not run yet are absent."""
    rows = [_row(suite, item) for item in scored if item.result is not None]
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def _row(suite: Suite, item: Scored) -> dict[str, object]:
    cell, result = item.cell, item.result
    assert result is not None
    correct = item.correct
    n = 0 if correct is None else len(correct)
    low, high = (None, None) if correct is None else _interval(item, correct)
    return {
        "suite": suite.suite,
        "model": cell.target,
        "dataset": cell.dataset,
        "task": task_named(cell.metric),
        "threat": cell.threat.kind if cell.threat else "",
        "source": item.source,
        "attack": cell.attack.label if cell.attack else "clean",
        "norm": cell.attack.norm.capitalize() if cell.attack else "",
        "eps": cell.eps,
        "n": n,
        "metric": cell.metric,
        "value": None if correct is None else float(correct.mean()),
        "ci_low": low,
        "ci_high": high,
        "seconds": round(result.seconds, 3),
        "queries": result.queries,
        "status": result.status,
        "reason": result.reason or "",
        "flags": " ".join([*([SAME_SOURCE] if item.source == cell.target else []), *result.flags]),
        "cell_id": cell.id,
        "craft_id": cell.craft_id,
    }


def _interval(item: Scored, correct: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the 95% interval; captions of one image, which fall together, count as one."""
    if item.result is None or not counts_captions(item.cell.metric):
        return wilson(int(correct.sum()), len(correct))
    images = len({key.rpartition(CAPTION)[0] for key in item.result.sample_ids})
    return wilson(float(correct.mean()) * images, images)


def leaderboard(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row per (model, threat, source): means over datasets, worst case and rank.

    A mean over fewer datasets than the suite names is left blank and flagged: `skipped` where
    an attack is not defined for one, `incomplete` where a cell failed or is absent. `worst` is
    the per-image AND over all attacks at the largest Linf budget; a white-box attacker has the
    transferred images too, so they count in its row.
    """
    groups: dict[tuple[str, str, str], list[Scored]] = defaultdict(list)
    clean: dict[str, list[Scored]] = defaultdict(list)
    (first, *_), names = metrics_of(task_of(suite.datasets[0])), _columns(suite)
    for item in scored:
        cell = item.cell
        if cell.threat is None:
            clean[cell.target].append(item)
        else:
            groups[cell.target, cell.threat.kind, item.source].append(item)
    keys = list(groups) or [(model, "", "") for model in suite.models]
    largest = _at_largest(suite, [item for item in scored if item.cell.metric == first])
    rows, broken = [], {}
    for key in keys:
        model, threat, source = key
        items = [*clean[model], *groups[key]]
        counted = _counted(largest[model], key)
        worst = _worst(suite, counted)
        columns = _means(suite, items, names)
        read = [*items, *counted]
        flags = [INCOMPLETE] if any(i.correct is None and not i.skipped for i in read) else []
        flags += [SKIPPED] if any(item.skipped for item in items) else []
        if source == model:
            flags.append(SAME_SOURCE)
        if worst is not None:
            broken[key] = np.concatenate(worst)
        rows.append(
            {
                "rank": None,
                "model": model,
                "threat": threat,
                "source": source,
                **columns,
                "worst": None if worst is None else float(np.mean([w.mean() for w in worst])),
                "n": _images(items),
                "datasets": len(suite.datasets),
                "flags": " ".join(flags),
            }
        )
    frame = pd.DataFrame(rows)
    frame["rank"] = _ranks(keys, frame["worst"].tolist(), broken)
    order = {kind: place for place, kind in enumerate(dict.fromkeys(key[1:] for key in keys))}
    place = [order[key[1:]] if key[1] != "white-box" else -1 for key in keys]
    frame = frame.assign(place=place).sort_values(
        ["place", "worst"], ascending=[True, False], kind="stable", na_position="last"
    )
    return frame.drop(columns="place").reset_index(drop=True)


def _images(items: Sequence[Scored]) -> int:
    """Return how many images were attacked, or not where there is no attack."""
    counts: dict[str, int] = {}
    for item in items:
        if (correct := item.correct) is not None:
            dataset = item.cell.dataset
            counts[dataset] = min(len(correct), counts.get(dataset, len(correct)))
    return sum(counts.values())


def _columns(suite: Suite) -> list[str]:
    """Return the columns of means, those of the metric that stands for the task first."""
    attacks = [attack.column(eps) for attack in suite.attacks for eps in attack.eps]
    endings = map(suffix, metrics_of(task_of(suite.datasets[0])))
    return [f"{name}{ending}" for ending in endings for name in ("clean", *attacks)]


def _means(suite: Suite, items: Sequence[Scored], names: Sequence[str]) -> dict[str, float | None]:
    """Return per column the mean over datasets, or None where one has no number."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for item in items:
        if (correct := item.correct) is not None:
            values[item.column].append(correct.mean())
    return {
        name: float(np.mean(found)) if len(found) == len(suite.datasets) else None
        for name, found in values.items()
    }


def _at_largest(suite: Suite, scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Return per model its cells that are attacked at the largest Linf radius."""
    budgets = [a.eps for a in suite.attacks if a.norm == "linf"]
    radii = [eps_value(eps) for listed in budgets for eps in listed]
    found: dict[str, list[Scored]] = {name: [] for name in suite.models}
    for item in scored:
        if item.cell.attack is not None and radii and item.cell.budget == Budget(max(radii)):
            found[item.cell.target].append(item)
    return found


def _counted(attacked: Sequence[Scored], key: tuple[str, str, str]) -> list[Scored]:
    """Return the cells, of a model's at the largest radius, that are the worst case of a row."""
    _, threat, source = key
    return [
        item
        for item in attacked
        if threat == "white-box" or (item.cell.mode == "full" and item.source == source)
    ]


def _worst(suite: Suite, counted: Sequence[Scored]) -> list[NDArray[np.bool_]] | None:
    """Return per dataset which images survive everything, or None where a cell is missing.

    What an attack is not defined for (a `skip`) it does not break.
    """
    survivors = []
    for dataset in suite.datasets:
        ran = [i for i in counted if i.cell.dataset == dataset.name and not i.skipped]
        vectors = [item.correct for item in ran]
        known = [vector for vector in vectors if vector is not None]
        if not known or len(known) < len(vectors):
            return None
        survivors.append(np.logical_and.reduce(known))
    return survivors


def _ranks(
    keys: Sequence[tuple[str, str, str]],
    worst: Sequence[float | None],
    broken: dict[tuple[str, str, str], NDArray[np.bool_]],
) -> "pd.Series[int]":
    """Rank within (threat, source)."""
    found: dict[int, int] = {}
    by_group: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key in broken:
            by_group[key[1:]].append(index)
    for members in by_group.values():
        vectors = [broken[keys[index]] for index in members]
        scores = [float(worst[index] or 0.0) for index in members]
        found |= dict(zip(members, ranks(vectors, scores), strict=True))
    return pd.Series([found.get(index) for index in range(len(keys))], dtype="Int64")
