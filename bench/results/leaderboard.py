"""The leaderboard: models ranked by their worst case, separately for each threat."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import isnan

import numpy as np
import pandas as pd

from bench.core.types import WORST, Values
from bench.results.board_cells import BoardCells, Floats, Ints, Key
from bench.results.tables import SAME_SOURCE
from bench.results.worst_case import (
    attacked_counts,
    stopped_early,
    survivors,
    worst_case_places,
)
from bench.stats import ranks
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of

_NONE: Ints = np.zeros(0, np.int64)
INCOMPLETE = "incomplete"
SKIPPED = "skipped"
ABOUT_RANKS = (
    "Models share a rank where a paired test of their worst cases does not separate them; ranks "
    "hold within a threat model."
)


def leaderboard(cells: BoardCells) -> pd.DataFrame:
    """Return one row per (model, threat, source): means over datasets, worst case and rank.

    A mean is blank if a dataset has no number; the flag `skipped` says that the attack is not
    defined for a dataset, `incomplete` that a cell failed or has not run. `worst` is the share of
    images that are right under all attacks at the largest Linf radius; for graded metrics, the mean
    of each image's lowest score. A white-box attacker can also use transferred images and those
    made by others, so they count in `worst` of white-box rows. With several seeds per attack, a
    column is the mean over seeds and `worst` covers all seeds; after all other columns,
    `<attack>@<eps> spread` is the largest minus the smallest mean over datasets of any seed.
    """
    suite, keys = cells.suite, cells.keys
    best = metrics_of(suite.datasets[0])[0].highest
    places = cells.places
    counted = worst_case_places(cells)
    means = np.array([means_of(cells, places[key]) for key in keys])
    spreads = _spreads(cells, [places[key] for key in keys], means)
    worst_cases = survivors(cells)
    rows = []
    for row, key in enumerate(keys):
        model, threat, source = key
        worst = worst_cases.get(key)
        rows.append(
            {
                "rank": None,
                "model": model,
                "threat": threat,
                "source": source,
                **dict(zip(cells.columns, _without_nan(means[row]), strict=True)),
                WORST: None if worst is None else float(np.mean([w.mean() for w in worst])) * best,
                "n": _images(cells, places[key]),
                "datasets": len(suite.datasets),
                "flags": " ".join(_flags(cells, places[key], counted.get(key, _NONE))),
                **{name: values[row] for name, values in spreads.items()},
            }
        )
    frame = pd.DataFrame(rows)
    early, sizes = stopped_early(cells), attacked_counts(cells)
    most = _most_images(cells) if suite.compared else None
    frame["rank"] = _ranks(suite, keys, worst_cases, sizes, early, most)
    order = {kind: place for place, kind in enumerate(dict.fromkeys(key[1:] for key in keys))}
    place = [order[key[1:]] if key[1] != "white-box" else -1 for key in keys]
    frame = frame.assign(place=place).sort_values(
        ["place", WORST], ascending=[True, False], kind="stable", na_position="last"
    )
    return frame.drop(columns="place").reset_index(drop=True)


def means_of(cells: BoardCells, places: Ints) -> Floats:
    """Return per column the mean over datasets and seeds; NaN if a number is missing."""
    columns, values = cells.arrays.column[places], cells.arrays.value[places]
    order = np.argsort(columns, kind="stable")
    sizes = np.bincount(columns, minlength=len(cells.columns))
    starts = np.cumsum(sizes) - sizes
    means = np.full(len(sizes), np.nan)
    for size in np.unique(sizes[sizes > 0]).tolist():
        members = np.flatnonzero(sizes == size)
        rows = order[starts[members][:, None] + np.arange(size)]
        means[members] = values[rows].mean(1)
    return means


def _without_nan(means: Floats) -> list[float | None]:
    return [None if isnan(mean) else mean for mean in means.tolist()]


def _images(cells: BoardCells, places: Ints) -> int:
    """Return the number of attacked images, or of clean images if there is no attack."""
    samples, datasets = cells.arrays.samples[places], cells.arrays.dataset[places]
    smallest = np.full(len(cells.suite.datasets), np.iinfo(np.int64).max)
    known = samples > 0
    np.minimum.at(smallest, datasets[known], samples[known])
    return int(smallest[np.unique(datasets[known])].sum())


def _flags(cells: BoardCells, places: Ints, counted: Ints) -> list[str]:
    """Return the flags of a row.

    Args:
        cells: The cells of the leaderboard.
        places: The cells of the row, with the clean ones of its model.
        counted: The cells of its worst case.
    """
    arrays, read = cells.arrays, np.concatenate([places, counted])
    missing = np.isnan(arrays.value[read]) & ~arrays.skipped[read]
    flags = [INCOMPLETE] if missing.any() else []
    flags += [SKIPPED] if arrays.skipped[places].any() else []
    flags += [SAME_SOURCE] if arrays.same_source[places].any() else []
    flagged = [cells.items[place] for place in read[arrays.flagged[read]].tolist()]
    flags += dict.fromkeys(flag for item in flagged for flag in item.content_flags)
    flags += dict.fromkeys(flag for item in flagged for flag in item.trust_flags)
    return flags


def _spreads(
    cells: BoardCells, rows: Sequence[Ints], means: Floats
) -> dict[str, list[float | None]]:
    """Return the range of the means over datasets between seeds; nothing for a single seed.

    Args:
        cells: The cells of the leaderboard.
        rows: The cells of each row.
        means: The means of each row.

    Returns:
        By name of the column, a value per row.
    """
    seeds, arrays = cells.suite.attack_seeds, cells.arrays
    if len(seeds) == 1:
        return {}
    crafted = arrays.crafted  # images made by others have no seed
    columns, first = np.unique(arrays.column[crafted], return_index=True)
    found = np.full(means.shape, np.nan)
    for row, places in enumerate(rows):
        of_seeds = [
            means_of(cells, places[crafted[places] & (arrays.seed[places] == seed)])
            for seed in seeds
        ]
        found[row] = np.where(np.isnan(means[row]), np.nan, np.ptp(of_seeds, 0))
    return {
        f"{cells.columns[column]} spread": _without_nan(found[:, column])
        for column in columns[np.argsort(first)].tolist()
    }


def _most_images(cells: BoardCells) -> int | None:
    """Return how many images each dataset has at least, as clean cells say; None if not known."""
    arrays = cells.arrays
    clean = (arrays.row < 0) & (arrays.samples > 0)
    sizes = dict(zip(arrays.dataset[clean].tolist(), arrays.samples[clean].tolist(), strict=True))
    suite = cells.suite
    return None if len(sizes) < len(suite.datasets) else min(suite.most_samples, *sizes.values())


def _ranks(
    suite: Suite,
    keys: Sequence[Key],
    worst_cases: Mapping[Key, list[Values]],
    sizes: Sequence[int],
    early: Collection[Key],
    most: int | None,
) -> "pd.Series[int]":
    """Return ranks within each (threat, source).

    Args:
        suite: The suite.
        keys: Model, threat and source of each row.
        worst_cases: Per row and dataset, the lowest score of each image.
        sizes: Number of images per dataset.
        early: Rows of `stopped_early`.
        most: See `bench.stats.ranks`.
    """
    found: dict[int, int] = {}
    by_group: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key in worst_cases and key[0] in (suite.compared or suite.models):
            by_group[key[1:]].append(index)
    for members in by_group.values():
        of_group = [worst_cases[keys[i]] for i in members]
        anytime = any(keys[i] in early for i in members)
        ranked = ranks(of_group, sizes, anytime=anytime, most=most)
        found |= dict(zip(members, ranked, strict=True))
    return pd.Series([found.get(index) for index in range(len(keys))], dtype="Int64")
