"""Confidence sequences: intervals and tests that hold at whatever image an evaluation stops.

A 95% interval for a fixed number of images does not hold if the data decide when to stop. The ones
here do: with 95% probability they hold the true value at all numbers of images at once. They test
by betting (Waudby-Smith and Ramdas 2024): a gambler bets on each image against a hypothesis. If it
is true, the wealth is a nonnegative supermartingale that starts at 1, so it ever reaches 1 / a with
a probability of at most a (Ville 1939). The interval holds the values that are not rejected.

The wealth is the mean of that of many constant bets, so it depends on sums alone. It is also valid
for graded scores in [0,1], for which it is too small.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.intervals import Floats

THRESHOLD = float(np.log(20))  # log wealth at which a hypothesis is rejected at 5%
_HALVINGS = 40
_NODES = 129  # rates per dataset at which a mean over datasets is minimised
# Bets on rates, as log odds: 0.25 is best for 1,000 images at 25%, or 400 at 10%; the weights make
# bets of a quarter to four times that cost little.
_TILTS = np.geomspace(0.02, 3.0, 24)
_TILT_WEIGHTS = np.log(np.exp(-(np.log(_TILTS / 0.25) ** 2) / 2))
_TILTS = np.concatenate([-_TILTS, _TILTS])
_TILT_WEIGHTS = np.tile(_TILT_WEIGHTS, 2) - np.log(2 * np.exp(_TILT_WEIGHTS).sum())


@lru_cache(maxsize=4096)  # several tables state the same rates
def anytime_interval(correct: float, n: float) -> tuple[float, float]:
    """Return the 95% confidence sequence of the rate correct / n at n images, within [0,1]."""
    low, high = _rate_bounds(np.array(correct, float), np.array(n, float), THRESHOLD)
    return float(low), float(high)


def anytime_mean_interval(correct: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return 95% confidence sequences of mean rates over k datasets, each stopped when it was.

    The wealth against given rates of all datasets is the product of their wealths. A mean is
    rejected if all rates with this mean are. The least wealth follows from convex duality: the log
    wealths are convex in the rates, so for each multiplier the datasets are minimised separately.

    Args:
        correct: Number of correct images `[..., k]` of each dataset, or sum of their scores.
        n: Number of images `[..., k]` of each dataset, at least 1.

    Returns:
        Lower and upper bounds `[...]`.
    """
    right, images = np.broadcast_arrays(np.asarray(correct, float), np.asarray(n, float))
    k = right.shape[-1]
    if k == 1:
        return _rate_bounds(right[..., 0], images[..., 0], THRESHOLD)
    least = _least_log_wealth(right, images)
    others = least.sum(-1, keepdims=True) - least
    low, high = _rate_bounds(right, images, THRESHOLD - others)
    nodes = low[..., None] + (high - low)[..., None] * np.linspace(0, 1, _NODES)
    wealth = log_wealth(right[..., None], images[..., None], nodes)
    found = [np.zeros(right.shape[:-1]), np.ones(right.shape[:-1])]
    for multiplier in np.geomspace(1, 1e6, 200).tolist():
        for side, slope in enumerate((-multiplier, multiplier)):
            dual = (wealth - slope * nodes).min(-1).sum(-1)
            bound = (THRESHOLD - dual) / (slope * k)
            found[side] = (np.minimum if side else np.maximum)(found[side], bound)
    return found[0], found[1]


def log_wealth(correct: Floats, n: Floats, rates: Floats) -> Floats:
    """Return the log wealth against rates `[...]`; convex in the rates, and at most 0 at the mean.

    A bet h multiplies the wealth by exp(h score) / (1 + rate (exp(h) - 1)).
    """
    exponents = _TILTS * correct[..., None] + _TILT_WEIGHTS
    exponents = exponents - n[..., None] * np.log1p(rates[..., None] * np.expm1(_TILTS))
    largest = exponents.max(-1)
    return np.asarray(largest + np.log(np.exp(exponents - largest[..., None]).sum(-1)))


def _least_log_wealth(correct: Floats, n: Floats) -> Floats:
    """Return the least log wealth `[...]` against any rate, by ternary search."""
    low, high = np.zeros(correct.shape), np.ones(correct.shape)
    for _ in range(_HALVINGS):
        first, second = (2 * low + high) / 3, (low + 2 * high) / 3
        falls = log_wealth(correct, n, first) > log_wealth(correct, n, second)
        low, high = np.where(falls, first, low), np.where(falls, high, second)
    return log_wealth(correct, n, low)


def _rate_bounds(correct: Floats, n: Floats, threshold: float | Floats) -> tuple[Floats, Floats]:
    """Return the least and the largest rate `[...]` whose log wealth is below a threshold."""
    right, images = np.stack([correct] * 2), np.stack([n] * 2)
    inner = right / images
    outer = np.stack([np.zeros(correct.shape), np.ones(correct.shape)])
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        rejected = log_wealth(right, images, middle) >= threshold
        inner, outer = np.where(rejected, inner, middle), np.where(rejected, middle, outer)
    return outer[0], outer[1]
