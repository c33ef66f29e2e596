"""Simulated tables whose models stop when their ranks are settled; for `tests.stats.sequential`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.plan.looks import looks
from bench.stats import anytime_order, ranks, undecided
from bench.stats.ranking import Signs, fixed_order

Floats = NDArray[np.float64]
Outcomes = NDArray[np.bool_]  # models x datasets x images
_SHARED = 0.8  # of the images are as hard for a model as for all others


@dataclass(frozen=True, slots=True)
class Race:
    """What a table took.

    Attributes:
        images: Images of each model per dataset, when its rank was settled.
        orders: The decisions at each look, as `anytime_order` returns them.
    """

    images: tuple[int, ...]
    orders: tuple[Signs, ...]


def random_rates(models: int, ties: int, k: int, rng: np.random.Generator) -> Floats:
    """Return rates `[models,k]`: means of 5 to 95%, `ties` of them equal to the first model's.

    Equal means are of unequal rates: single datasets favour either model by some points.
    """
    means = rng.uniform(0.05, 0.95, models)
    means[models - ties :] = means[0]
    spread = rng.normal(0, 0.03, (models, k))
    room = np.minimum(means, 1 - means)[:, None]
    return means[:, None] + np.clip(spread - spread.mean(1, keepdims=True), -room, room) * (k > 1)


def draw(rates: Floats, most: int, rng: np.random.Generator) -> Outcomes:
    """Return outcomes with these rates, correlated between models: hard images are hard for all."""
    hard = rng.random((rates.shape[1], most))
    shape = (*rates.shape, most)
    shared = rng.random(shape) < _SHARED
    return np.where(shared, hard, rng.random(shape)) < rates[..., None]


def race(outcomes: Outcomes, unit: int = 64) -> Race:
    """Let the models of a table draw images until their ranks are settled."""
    most = outcomes.shape[-1]
    ends = looks(unit, most)
    at = [0] * len(outcomes)
    orders = []
    while True:
        seen = [right[:, : ends[place]] for right, place in zip(outcomes, at, strict=True)]
        orders.append(anytime_order(seen, most))
        more = undecided(seen, most)
        if not more:
            return Race(tuple(min(ends[place], most) for place in at), tuple(orders))
        for model in more:
            at[model] += 1


def true_order(rates: Floats) -> Signs:
    """Return which models are better, as signs `[m,m]`."""
    means = rates.mean(1).round(9)
    return np.sign(np.subtract.outer(means, means)).astype(np.int64)


def found(order: Signs, truth: Signs) -> float:
    """Return the share of the real differences that an order has, the right way round."""
    return float((order == truth)[truth != 0].mean())


def table_line(name: str, rates: Sequence[Floats], most: int, rng: np.random.Generator) -> str:
    """Return what tables with these rates cost, and which fixed number of images finds as much."""
    wrong, used, same, power, whole = [], [], [], [], []
    ends = looks(64, most)
    fixed = np.zeros(len(ends))
    few = rates[: len(rates) // 10 + 1]  # the power of fixed numbers takes most of the time
    for place, table in enumerate(rates):
        outcomes, truth = draw(table, most, rng), true_order(table)
        each = race(outcomes)
        wrong.append(any(((order != 0) & (order != truth)).any() for order in each.orders))
        used.append(np.mean(each.images) / most)
        power.append(found(each.orders[-1], truth))
        whole.append(found(fixed_order([*outcomes]), truth))
        seen = [right[:, :n] for right, n in zip(outcomes, each.images, strict=True)]
        same.append(ranks(seen, anytime=True, most=most) == ranks([*outcomes]))
        if place < len(few):
            fixed += [found(fixed_order([*outcomes[..., :n]]), truth) / len(few) for n in ends]
    target = np.mean(power[: len(few)])
    enough = next((n for n, share in zip(ends, fixed, strict=True) if share >= target), most)
    return (
        f"{name}: {np.mean(wrong):.2%} of tables ever wrong; {np.mean(used):.0%} of {most} images "
        f"find {np.mean(power):.1%} of the real differences, all images {np.mean(whole):.1%}, "
        f"a fixed {min(enough, most) / most:.0%} as many; {np.mean(same):.0%} of tables have the "
        "ranks that all images give"
    )
