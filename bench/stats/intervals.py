"""Score intervals of an accuracy, and of the mean accuracy over datasets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054  # normal quantile of a two-sided 95% interval
_HALVINGS = 60
# up to this many correct images Brown, Cai and DasGupta replace the bound; one less if n <= 50
_FEW = 3
# 5% quantiles of gamma distributions by shape: lower bounds of a Poisson mean by number of events;
# kept to six decimals, because more digits would change intervals in published tables
_SHAPES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
_BOUNDS = (0.0, 0.001966, 0.051293, 0.175923, 0.355362, 0.572738, 0.817691, 1.083675)
_POWERS = (-16.0, 64.0)  # log2 of the least and largest multiplier that the bisection tries

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with its 95% confidence interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """Return the interval multiplied by a factor."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@lru_cache(maxsize=4096)  # several tables state the same rates
def wilson(correct: float, n: float) -> tuple[float, float]:
    """Return the modified 95% Wilson score interval of the rate correct / n, within [0,1].

    Wilson 1927. With one to three correct images (one or two if n <= 50) Wilson's lower bound is
    too high, so the lower bound of a Poisson mean replaces it. The same holds for the upper bound
    with one to three wrong images (Brown, Cai and DasGupta 2001, section 4.1.1).
    """
    if n == 0:
        return 0.0, 1.0
    counts, images = np.array([[correct], [n - correct]], np.float64), np.full((2, 1), n, float)
    right, wrong = _poisson_bounds(counts / images, images).tolist()
    rate = correct / n
    centre = rate + Z95**2 / (2 * n)
    half = Z95 * sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return (
        max(0.0, min((centre - half) / scale, right)),
        min(1.0, max((centre + half) / scale, 1 - wrong)),
    )


def mean_interval(correct: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return the 95% score intervals of mean accuracies over datasets, within [0,1].

    Inverts the score test, as Wilson's interval does, with the maximum-likelihood rates under the
    constraint of a given mean (a linear combination of proportions, Martín Andrés et al. 2011).
    Where few images determine the mean, the bound is that of a weighted sum of Poisson counts (Fay
    and Feuer 1997). For one dataset the interval equals that of `wilson`; for equal rates on
    equally many images it is the interval of all images pooled.

    Args:
        correct: Number of correct images `[..., k]` of each dataset. Fractional if the number is a
            mean over seeds or a sum of scores.
        n: Number of images `[..., k]` of each dataset, at least 1. For graded scores, the effective
            sample size (`bench.stats.effective_size`).

    Returns:
        Lower and upper bounds `[...]`.
    """
    images = np.asarray(n, np.float64)
    rates = np.asarray(correct, np.float64) / images
    low, below = (
        np.minimum(_lower_bounds(some, images), _poisson_bounds(some, images))
        for some in (rates, 1 - rates)
    )
    return low, 1 - below


def unpaired_interval(first: Interval, second: Interval) -> tuple[float, float]:
    """Return the 95% interval of the difference of two rates on different images.

    Newcombe 1998, method 10: the distances of both rates to their bounds add in quadrature.
    """
    value = first.value - second.value
    below = sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    above = sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return value - below, value + above


def rejecting_multiplier(
    rejects: Callable[[Floats], NDArray[np.bool_]], shape: tuple[int, ...]
) -> Floats:
    """Return for each interval the smallest Lagrange multiplier at which its score test rejects.

    Uses bisection: the test is a step function from False to True, and scipy's array solvers need a
    continuous function.

    Args:
        rejects: Takes multipliers of shape `shape`; returns whether the test rejects at each.
        shape: Shape of the multipliers.
    """
    low, high = (np.full(shape, power) for power in _POWERS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rejected = rejects(np.exp2(middle))
        low, high = np.where(rejected, low, middle), np.where(rejected, middle, high)
    return np.asarray(np.exp2(high))


def _poisson_bounds(rates: Floats, n: Floats) -> Floats:
    """Return lower bounds of means with few correct images, and 1 for all other means.

    If the counts are Poisson, a mean y with estimated variance v is distributed like v / y times a
    Poisson count of y² / v. Counts may be fractional (means over seeds), so the bound is used up to
    half an image above the limit.
    """
    k = rates.shape[-1]
    mean = rates.mean(-1)
    variance = (rates / n).sum(-1) / k**2
    per_event = np.divide(variance, mean, out=np.ones_like(mean), where=mean > 0)
    count = mean / per_event
    total = np.broadcast_to(n, rates.shape).sum(-1)
    few = count < np.where(total > 50, _FEW, _FEW - 1) + 0.5
    return np.asarray(np.where(few, np.interp(count, _SHAPES, _BOUNDS) * per_event, 1.0))


def _lower_bounds(rates: Floats, n: Floats) -> Floats:
    """Return the means for which the observed means are Z95 standard errors too high.

    Given a mean and its Lagrange multiplier m, the maximum-likelihood rate p of a dataset with
    weight a = 1 / (k n) per image solves `rate - p = m a p (1 - p)`. So the observed mean exceeds
    the given mean by m times the variance under the given mean, and the bound lies where m² times
    this variance equals Z95².
    """
    k = rates.shape[-1]
    per_image = 1 / (k * n)

    def constrained_rates(multiplier: Floats) -> Floats:
        slope = multiplier[..., None] * per_image
        root = np.sqrt((1 + slope) ** 2 - 4 * slope * rates)
        return np.asarray(2 * rates / (1 + slope + root))

    def rejects(multiplier: Floats) -> NDArray[np.bool_]:
        p = constrained_rates(multiplier)
        return np.asarray(multiplier**2 * (per_image / k * p * (1 - p)).sum(-1) > Z95**2)

    shape = np.broadcast_shapes(rates.shape, n.shape)[:-1]
    bound = constrained_rates(rejecting_multiplier(rejects, shape)).mean(-1)
    return np.asarray(np.where(rates.any(-1), bound, 0.0))
