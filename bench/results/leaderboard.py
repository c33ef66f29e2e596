"""The leaderboard: models ranked by their worst case, threat by threat."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.core.types import Budget, Values
from bench.results.tables import SAME_SOURCE, Scored
from bench.stats import ranks
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import eps_value

INCOMPLETE = "incomplete"
SKIPPED = "skipped"


def leaderboard(suite: Suite, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row per (model, threat, source): means over datasets, worst case and rank.

    A mean over fewer datasets than the suite names is left blank and flagged: `skipped` where
    an attack is not defined for one, `incomplete` where a cell failed or is absent. `worst` is
    the per-image AND over all attacks at the largest Linf budget, of scores the least; a white-box
    attacker has the transferred images too, so they count in its row. Where attacks run with
    several seeds, their columns are means over them, `worst` is over them too, and after all other
    columns each
    `<attack>@<eps>` has a `<attack>@<eps> spread`: the largest less the smallest of its means over
    datasets, by seed.
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
    largest = _at_largest(suite, [item for item in scored if item.metric.is_main])
    rows, broken = [], {}
    for key in keys:
        model, threat, source = key
        items = [*clean[model], *groups[key]]
        counted = _counted(largest[model], key)
        worst = _worst(suite, counted)
        columns = _means(items, names)
        read = [*items, *counted]
        flags = [INCOMPLETE] if any(i.shares is None and not i.skipped for i in read) else []
        flags += [SKIPPED] if any(item.skipped for item in items) else []
        if any(item.same_source for item in groups[key]):
            flags.append(SAME_SOURCE)
        flags += dict.fromkeys(flag for item in read for flag in item.doubts)
        if worst is not None:
            broken[key] = worst
        rows.append(
            {
                "rank": None,
                "model": model,
                "threat": threat,
                "source": source,
                **columns,
                "worst": None
                if worst is None
                else float(np.mean([w.mean() for w in worst])) * best,
                "n": _images(items),
                "datasets": len(suite.datasets),
                "flags": " ".join(flags),
                **_spreads(suite, items, columns),
            }
        )
    frame = pd.DataFrame(rows)
    frame["rank"] = _ranks(keys, broken, attacked(suite, scored))
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
        if (shares := item.shares) is not None:
            dataset = item.cell.dataset
            counts[dataset] = min(len(shares), counts.get(dataset, len(shares)))
    return sum(counts.values())


def _columns(suite: Suite) -> list[str]:
    """Return the columns of means, those of the metric that stands for the task first."""
    attacks = [attack.column(eps) for attack in suite.attacks for eps in attack.eps]
    metrics = metrics_of(suite.datasets[0])
    return [metric.column(name) for metric in metrics for name in ("clean", *attacks)]


def _means(items: Sequence[Scored], names: Sequence[str]) -> dict[str, float | None]:
    """Return per column the mean over datasets and seeds, or None where one has no number."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for item in items:
        value = item.value
        values[item.column].append(np.nan if value is None else value)
    means = {name: float(np.mean(found)) if found else np.nan for name, found in values.items()}
    return {name: None if np.isnan(mean) else mean for name, mean in means.items()}


def _spreads(
    suite: Suite, items: Sequence[Scored], means: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Return by how much the means over datasets differ between seeds, where there are several."""
    if len(suite.attack_seeds) == 1:
        return {}
    by_seed: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.cell.attack is not None:
            value = item.value
            by_seed[item.column][item.cell.seed].append(np.nan if value is None else value)
    return {
        f"{name} spread": None
        if means[name] is None
        else float(np.ptp([np.mean(rates) for rates in seeds.values()]))
        for name, seeds in by_seed.items()
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


def _worst(suite: Suite, counted: Sequence[Scored]) -> list[Values] | None:
    """Return per dataset what of each image survives everything, or None where a cell is missing.

    What an attack is not defined for (a `skip`) it does not break.
    """
    survivors = []
    for dataset in suite.datasets:
        ran = [i for i in counted if i.cell.dataset == dataset.name and not i.skipped]
        vectors = [item.shares for item in ran]
        known = [vector for vector in vectors if vector is not None]
        if not known or len(known) < len(vectors):
            return None
        survivors.append(np.minimum.reduce(known))
    return survivors


def counted(suite: Suite, scored: Sequence[Scored]) -> dict[tuple[str, str, str], list[Scored]]:
    """Return per (model, threat, source) the cells that its worst case is made of."""
    cells = [item for item in scored if item.metric.is_main]
    largest = _at_largest(suite, cells)
    keys = dict.fromkeys(
        (item.cell.target, item.cell.threat.kind, item.source) for item in cells if item.cell.threat
    )
    return {key: _counted(largest[key[0]], key) for key in keys}


def survivors(suite: Suite, scored: Sequence[Scored]) -> dict[tuple[str, str, str], list[Values]]:
    """Return per (model, threat, source) and dataset which images survive the worst case.

    Of scores it is the least share of the best score that an image is left with.

    Where a cell of it has no number, or there is no attack in Linf, it is absent.
    """
    found = {key: _worst(suite, cells) for key, cells in counted(suite, scored).items()}
    return {key: vectors for key, vectors in found.items() if vectors is not None}


def attacked(suite: Suite, scored: Sequence[Scored]) -> list[int]:
    """Return per dataset how many images were attacked; 0 where none was."""
    found = {
        item.cell.dataset: item.images
        for item in scored
        if item.shares is not None and item.cell.attack and item.metric.is_main
    }
    return [found.get(dataset.name, 0) for dataset in suite.datasets]


def _ranks(
    keys: Sequence[tuple[str, str, str]],
    broken: dict[tuple[str, str, str], list[Values]],
    sizes: Sequence[int],
) -> "pd.Series[int]":
    """Rank within (threat, source), on so many images of each dataset."""
    found: dict[int, int] = {}
    by_group: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key in broken:
            by_group[key[1:]].append(index)
    for members in by_group.values():
        found |= dict(zip(members, ranks([broken[keys[i]] for i in members], sizes), strict=True))
    return pd.Series([found.get(index) for index in range(len(keys))], dtype="Int64")
