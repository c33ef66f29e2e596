"""The leaderboard: models ranked by their worst case, separately for each threat."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from bench.core.types import CLEAN, WORST, Budget, Values
from bench.results.tables import SAME_SOURCE, Scored
from bench.stats import ranks
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import eps_value

INCOMPLETE = "incomplete"
SKIPPED = "skipped"
ABOUT_RANKS = (
    "Models share a rank where a paired test of their worst cases does not separate them; ranks "
    "hold within a threat model."
)


def leaderboard(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row per (model, threat, source): means over datasets, worst case and rank.

    A mean is blank if a dataset has no number; the flag `skipped` says that the attack is not
    defined for a dataset, `incomplete` that a cell failed or has not run. `worst` is the share of
    images that are right under all attacks at the largest Linf radius; for graded metrics, the mean
    of each image's lowest score. A white-box attacker can also use transferred images and those
    made by others, so they count in `worst` of white-box rows. With several seeds per attack, a
    column is the mean over seeds and `worst` covers all seeds; after all other columns,
    `<attack>@<eps> spread` is the largest minus the smallest mean over datasets of any seed.
    """
    groups: dict[tuple[str, str, str], list[Scored]] = defaultdict(list)
    clean: dict[str, list[Scored]] = defaultdict(list)
    best, names = metrics_of(suite.datasets[0])[0].highest, _columns(suite)
    for item in scored:
        cell = item.cell
        if cell.threat is None:
            clean[cell.target].append(item)
        else:
            groups[cell.target, cell.threat.kind, item.source].append(item)
    keys = list(groups) or [(model, "", "") for model in suite.models if model in clean]
    attacked = worst_case_cells(suite, scored)
    rows, worst_cases = [], {}
    for key in keys:
        model, threat, source = key
        items = [*clean[model], *groups[key]]
        counted = attacked.get(key, [])
        worst = _worst(suite, counted)
        columns = _means(items, names)
        read = [*items, *counted]
        flags = [INCOMPLETE] if any(i.shares is None and not i.skipped for i in read) else []
        flags += [SKIPPED] if any(item.skipped for item in items) else []
        if any(item.cell.same_source for item in groups[key]):
            flags.append(SAME_SOURCE)
        flags += dict.fromkeys(flag for item in read for flag in item.content_flags)
        flags += dict.fromkeys(flag for item in read for flag in item.trust_flags)
        if worst is not None:
            worst_cases[key] = worst
        rows.append(
            {
                "rank": None,
                "model": model,
                "threat": threat,
                "source": source,
                **columns,
                WORST: None if worst is None else float(np.mean([w.mean() for w in worst])) * best,
                "n": _images(items),
                "datasets": len(suite.datasets),
                "flags": " ".join(flags),
                **_spreads(suite, items, columns),
            }
        )
    frame = pd.DataFrame(rows)
    early, sizes = stopped_early(suite, scored), attacked_counts(suite, scored)
    frame["rank"] = _ranks(keys, worst_cases, sizes, early)
    order = {kind: place for place, kind in enumerate(dict.fromkeys(key[1:] for key in keys))}
    place = [order[key[1:]] if key[1] != "white-box" else -1 for key in keys]
    frame = frame.assign(place=place).sort_values(
        ["place", WORST], ascending=[True, False], kind="stable", na_position="last"
    )
    return frame.drop(columns="place").reset_index(drop=True)


def _images(items: Sequence[Scored]) -> int:
    """Return the number of attacked images, or of clean images if there is no attack."""
    counts: dict[str, int] = {}
    for item in items:
        if (shares := item.shares) is not None:
            dataset = item.cell.dataset
            counts[dataset] = min(len(shares), counts.get(dataset, len(shares)))
    return sum(counts.values())


def _columns(suite: Suite) -> list[str]:
    """Return the columns of means; those of the task's main metric come first."""
    attacks = [attack.column(eps) for attack in suite.attacks for eps in attack.eps]
    metrics = metrics_of(suite.datasets[0])
    return [metric.column(name) for metric in metrics for name in (CLEAN, *attacks)]


def _means(items: Sequence[Scored], names: Sequence[str]) -> dict[str, float | None]:
    """Return per column the mean over datasets and seeds, or None if a number is missing."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for item in items:
        value = item.value
        values[item.column].append(np.nan if value is None else value)
    means = {name: float(np.mean(found)) if found else np.nan for name, found in values.items()}
    return {name: None if np.isnan(mean) else mean for name, mean in means.items()}


def _spreads(
    suite: Suite, items: Sequence[Scored], means: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Return the range of the means over datasets between seeds; empty for a single seed."""
    if len(suite.attack_seeds) == 1:
        return {}
    by_seed: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.cell.crafted:  # images made by others have no seed
            value = item.value
            by_seed[item.column][item.cell.seed].append(np.nan if value is None else value)
    return {
        f"{name} spread": None
        if means[name] is None
        else float(np.ptp([np.mean(rates) for rates in seeds.values()]))
        for name, seeds in by_seed.items()
    }


def _worst(suite: Suite, counted: Sequence[Scored]) -> list[Values] | None:
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


def worst_case_cells(
    suite: Suite, scored: Sequence[Scored]
) -> dict[tuple[str, str, str], list[Scored]]:
    """Return per (model, threat, source) the cells that count in its worst case.

    These are its cells at the largest Linf radius; for white-box rows, those of the model under
    any threat.
    """
    budgets = [attack.eps for attack in suite.attacks if attack.norm == "linf"]
    radii = [eps_value(eps) for listed in budgets for eps in listed]
    largest = Budget(max(radii)) if radii else None
    found: dict[tuple[str, str, str], list[Scored]] = {}
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


def survivors(suite: Suite, scored: Sequence[Scored]) -> dict[tuple[str, str, str], list[Values]]:
    """Return per (model, threat, source) and dataset which images survive the worst case.

    For graded metrics, the lowest score of each image, divided by the best score. Keys are absent
    if a cell has no number or there is no Linf attack.
    """
    found = {key: _worst(suite, cells) for key, cells in worst_case_cells(suite, scored).items()}
    return {key: vectors for key, vectors in found.items() if vectors is not None}


def stopped_early(suite: Suite, scored: Sequence[Scored]) -> set[tuple[str, str, str]]:
    """Return the (model, threat, source) with a cell in its worst case that stopped early.

    Cells of images made by others never do.
    """
    return {
        key
        for key, cells in worst_case_cells(suite, scored).items()
        if any(item.anytime for item in cells)
    }


def attacked_counts(suite: Suite, scored: Sequence[Scored]) -> list[int]:
    """Return per dataset the number of attacked images; 0 if no attack ran."""
    found = {
        item.cell.dataset: item.images
        for item in scored
        if item.shares is not None and item.cell.attack and item.metric.is_main
    }
    return [found.get(dataset.name, 0) for dataset in suite.datasets]


def _ranks(
    keys: Sequence[tuple[str, str, str]],
    worst_cases: dict[tuple[str, str, str], list[Values]],
    sizes: Sequence[int],
    early: Collection[tuple[str, str, str]],
) -> "pd.Series[int]":
    """Return ranks within each (threat, source).

    Args:
        keys: The rows.
        worst_cases: Per row and dataset, which images survive.
        sizes: Number of images per dataset.
        early: Rows of `stopped_early`.
    """
    found: dict[int, int] = {}
    by_group: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key in worst_cases:
            by_group[key[1:]].append(index)
    for members in by_group.values():
        of_group = [worst_cases[keys[i]] for i in members]
        ranked = ranks(of_group, sizes, anytime=any(keys[i] in early for i in members))
        found |= dict(zip(members, ranked, strict=True))
    return pd.Series([found.get(index) for index in range(len(keys))], dtype="Int64")
