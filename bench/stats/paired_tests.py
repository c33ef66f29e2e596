"""Paired tests of two models on the same images: exact for one dataset, a score test for means.

Only images about which exactly one of the two models is right carry information on which model is
better. So a dataset enters with two counts: images that only the first or only the second model is
right about.
"""

from functools import lru_cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.stats.intervals import Z95, Floats, rejecting_multiplier

# two-sided normal tail probability; math.erfc, because scipy's returns 0 below 1e-307
_TAILS = np.vectorize(lambda z: erfc(z / sqrt(2)), otypes=[np.float64])


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the exact two-sided p-value of the hypothesis that two models are right equally often.

    Binomial test on the images about which exactly one model is right (McNemar 1947).

    Args:
        first: Per image, whether the first model is right.
        second: Per image, whether the second model is right; the same images.
    """
    return mcnemar_of_counts(int((first & ~second).sum()), int((second & ~first).sum()))


@lru_cache(maxsize=65536)  # a table of a hundred models has thousands of pairs
def mcnemar_of_counts(only_first: int, only_second: int) -> float:
    """Return the p-value of `mcnemar`, from the images about which one model alone is right.

    Computed in integers, because scipy returns 0 for p-values below 1e-290, which a thousand such
    images can give.
    """
    n = only_first + only_second
    tail = term = 1
    for k in range(min(only_first, only_second)):
        term = term * (n - k) // (k + 1)  # n choose k+1 from n choose k, an exact division
        tail += term
    return min(1.0, float(2 * tail / 2**n))  # exact: integers beyond the range of floats


def paired_test(only_first: ArrayLike, only_second: ArrayLike, n: ArrayLike) -> Floats:
    """Return two-sided p-values for equal mean accuracies of two models over datasets.

    The score test of no difference of the means, which `paired_interval` inverts; for one dataset
    it is McNemar's test. Single datasets may favour either model. A continuity correction (Edwards
    1948) brings the mean difference nearer to zero by half of the smallest step that it can take;
    without it, p-values of few images are too small.

    Args:
        only_first: Images `[..., k]` of each dataset that only the first model is right about;
            fractional if they are means over seeds.
        only_second: Images `[..., k]` that only the second model is right about.
        n: Number of images `[..., k]` of each dataset.
    """
    first, second, images = np.broadcast_arrays(*_floats(only_first, only_second, n))
    gap = ((first - second) / images).mean(-1)
    ahead = (gap > 0)[..., None]
    ours, theirs = np.where(ahead, first, second), np.where(ahead, second, first)

    def rejects(multiplier: Floats) -> NDArray[np.bool_]:
        return np.asarray(_constrained_estimates(multiplier, ours, theirs, images)[0] <= 0)

    _, variance = _constrained_estimates(
        rejecting_multiplier(rejects, gap.shape), ours, theirs, images
    )
    step = 1 / (images.shape[-1] * images.max(-1))
    distance = np.maximum(np.abs(gap) - step, 0)
    errors = np.zeros_like(distance)  # 0 where the models always agree, so that the variance is 0
    np.divide(distance, np.sqrt(variance), out=errors, where=variance > 0)
    return np.asarray(_TAILS(errors))


def paired_interval(
    only_first: ArrayLike, only_second: ArrayLike, n: ArrayLike
) -> tuple[Floats, Floats]:
    """Return the 95% score intervals of the difference of two mean accuracies over datasets.

    Inverts the score test, with the maximum-likelihood probabilities under the constraint of a
    given mean difference. For one dataset it is Tango's interval (1998). It has a positive width
    also where the two models always agree.

    Args:
        only_first: Images `[..., k]` of each dataset that only the first model is right about;
            fractional if they are means over seeds.
        only_second: Images `[..., k]` that only the second model is right about.
        n: Number of images `[..., k]` of each dataset.

    Returns:
        Lower and upper bounds `[...]` of the first model's mean minus the second's.
    """
    first, second, images = np.broadcast_arrays(*_floats(only_first, only_second, n))
    return _lower_bounds(first, second, images), -_lower_bounds(second, first, images)


def _floats(*values: ArrayLike) -> list[Floats]:
    return [np.asarray(value, np.float64) for value in values]


def _lower_bounds(first: Floats, second: Floats, n: Floats) -> Floats:
    """Return the mean differences for which the observed ones are Z95 standard errors too high.

    With a Lagrange multiplier m for the given mean difference, the observed one exceeds it by m
    times the variance under the given difference. So the bound lies where m² times this variance
    equals Z95².
    """

    def rejects(multiplier: Floats) -> NDArray[np.bool_]:
        variance = _constrained_estimates(multiplier, first, second, n)[1]
        return np.asarray(multiplier**2 * variance > Z95**2)

    return _constrained_estimates(
        rejecting_multiplier(rejects, first.shape[:-1]), first, second, n
    )[0]


def _constrained_estimates(
    multiplier: Floats, first: Floats, second: Floats, n: Floats
) -> tuple[Floats, Floats]:
    """Return a mean difference `[...]` below the observed one, and the variance of its estimate.

    Both follow from the maximum-likelihood probabilities under the constraint of that mean
    difference. For a dataset they are first / (v + pull), second / (v - pull) and both / v, where
    pull is the multiplier divided by k. They add up to 1 if v solves a cubic equation. Its largest
    root is used, but not less than pull; there the second model's probability is what the other two
    leave over, even if the second model was never right alone.
    """
    k = first.shape[-1]
    pull, both = multiplier[..., None] / k, n - first - second
    linear = pull * (first - second) - pull**2
    slope = n**2 / 9 - linear / 3
    offset = n**3 / 27 - n * linear / 6 - both * pull**2 / 2
    angle = np.arccos(np.clip(offset / np.sqrt(slope**3), -1, 1))
    v = np.maximum(n / 3 + 2 * np.sqrt(slope) * np.cos(angle / 3), pull)
    ours = first / (v + pull)
    theirs = np.maximum(1 - ours - both / v, 0)
    variance = (ours + theirs - (ours - theirs) ** 2) / n
    return (ours - theirs).mean(-1), variance.sum(-1) / k**2
