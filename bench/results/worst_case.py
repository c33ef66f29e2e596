"""Worst cases: which cells count in them, and which images survive all attacks."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.core.types import Budget, Values
from bench.results.tables import Scored
from bench.suite.load import Suite
from bench.suite.specs import eps_value

Key = tuple[str, str, str]  # model, threat and source: a row of the leaderboard


def worst_case(suite: Suite, counted: Sequence[Scored]) -> list[Values] | None:
    """Return per dataset the lowest score of each image, or None if a cell has no number.

    Skipped cells do not count: their attack is not defined for the dataset.
    """
    survivors = []
    for dataset in suite.datasets:
        ran = [i for i in counted if i.cell.dataset == dataset.name and not i.skipped]
        vectors = [item.shares for item in ran]
        known = [vector for vector in vectors if vector is not None]
        if not known or len(known) < len(vectors):
            return None
        n = min(map(len, known))  # cells that stop when they are precise enough have fewer images
        survivors.append(np.minimum.reduce([vector[:n] for vector in known]))
    return survivors


def worst_case_cells(suite: Suite, scored: Sequence[Scored]) -> dict[Key, list[Scored]]:
    """Return per (model, threat, source) the cells that count in its worst case.

    These are its cells at the largest Linf radius; for white-box rows, those of the model under
    any threat.
    """
    budgets = [attack.eps for attack in suite.attacks if attack.norm == "linf"]
    radii = [eps_value(eps) for listed in budgets for eps in listed]
    largest = Budget(max(radii)) if radii else None
    found: dict[Key, list[Scored]] = {}
    of_model: dict[str, list[Scored]] = defaultdict(list)
    for item in scored:
        threat, model = item.cell.threat, item.cell.target
        if threat is None or not item.metric.is_main:
            continue
        own = found.setdefault(
            (model, threat.kind, item.source),
            of_model[model] if threat.kind == "white-box" else [],
        )
        if item.cell.budget == largest:
            of_model[model].append(item)
            if threat.kind != "white-box":
                own.append(item)
    return found


def survivors(suite: Suite, scored: Sequence[Scored]) -> dict[Key, list[Values]]:
    """Return per (model, threat, source) and dataset which images survive the worst case.

    For graded metrics, the lowest score of each image, divided by the best score. Keys are absent
    if a cell has no number or there is no Linf attack.
    """
    found = {
        key: worst_case(suite, cells) for key, cells in worst_case_cells(suite, scored).items()
    }
    return {key: vectors for key, vectors in found.items() if vectors is not None}


def attacked_counts(suite: Suite, scored: Sequence[Scored]) -> list[int]:
    """Return per dataset the number of attacked images; 0 if no attack ran."""
    found = {
        item.cell.dataset: item.images
        for item in scored
        if item.shares is not None and item.cell.attack and item.metric.is_main
    }
    return [found.get(dataset.name, 0) for dataset in suite.datasets]


def most_images(suite: Suite, scored: Sequence[Scored]) -> int | None:
    """Return how many images each dataset has at least, as clean cells say; None if not known."""
    sizes = {
        item.cell.dataset: len(item.shares)
        for item in scored
        if item.cell.attack is None and item.shares is not None
    }
    return None if len(sizes) < len(suite.datasets) else min(suite.most_samples, *sizes.values())
