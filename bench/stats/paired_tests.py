"""Two models on the same images: exact for one dataset, by a score test for means over datasets.

Only images where exactly one of the two is right say anything about which is better, so all that
is needed of a dataset is how many there are of either kind.
"""

from math import erfc, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.stats.intervals import Z95, Floats, crossing

# both tails of a normal; the standard library's, since scipy's gives 0 below 1e-307
_TAILS = np.vectorize(lambda z: erfc(z / sqrt(2)), otypes=[np.float64])


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the exact two-sided p-value that two models are right equally often.

    The binomial test on the images where exactly one is right (McNemar 1947). In integers, since
    scipy's gives 0 for p-values from 1e-290 down, which occur with a thousand such images.

    Args:
        first: Per image, whether the first model is right.
        second: The same images under the second model.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    n = only_first + only_second
    tail = term = 1
    for k in range(min(only_first, only_second)):
        term = term * (n - k) // (k + 1)  # n choose k+1 from n choose k, exactly
        tail += term
    return min(1.0, float(2 * tail / 2**n))  # integers divide exactly, also past a float's range


def paired_test(only_first: ArrayLike, only_second: ArrayLike, n: ArrayLike) -> Floats:
    """Return two-sided p-values that two models have the same mean accuracy over datasets.

    The score test that `paired_interval` inverts, of no difference of the means; of one dataset it
    is McNemar's. Datasets may differ in favour of either. The mean difference is brought nearer to
    zero by half of the smallest step that it can take (Edwards 1948), without which p-values of
    few images are too small.

    Args:
        only_first: Images `[..., k]` of each dataset that the first model alone is right about; a
            fraction of an image where one counts in parts.
        only_second: Those that the second alone is right about.
        n: How many images `[..., k]` there are.
    """
    first, second, images = np.broadcast_arrays(*_floats(only_first, only_second, n))
    apart = ((first - second) / images).mean(-1)
    ahead = (apart > 0)[..., None]
    ours, theirs = np.where(ahead, first, second), np.where(ahead, second, first)

    def beyond(multiplier: Floats) -> NDArray[np.bool_]:
        return np.asarray(_likeliest(multiplier, ours, theirs, images)[0] <= 0)

    _, variance = _likeliest(crossing(beyond, apart.shape), ours, theirs, images)
    step = 1 / (images.shape[-1] * images.max(-1))
    distance = np.maximum(np.abs(apart) - step, 0)
    errors = np.zeros_like(distance)  # of models that are never apart, whose variance is nothing
    np.divide(distance, np.sqrt(variance), out=errors, where=variance > 0)
    return np.asarray(_TAILS(errors))


def paired_interval(
    only_first: ArrayLike, only_second: ArrayLike, n: ArrayLike
) -> tuple[Floats, Floats]:
    """Return the 95% score intervals of differences of mean accuracies over datasets.

    The score test inverted, with the chances of either kind of image that are likeliest where the
    mean difference is given. Of one dataset it is Tango's interval (1998). It has a width where the
    two models are never apart.

    Args:
        only_first: Images `[..., k]` of each dataset that the first model alone is right about; a
            fraction of an image where one counts in parts.
        only_second: Those that the second alone is right about.
        n: How many images `[..., k]` there are.

    Returns:
        Lower and upper bounds `[...]` of the first's mean less the second's.
    """
    first, second, images = np.broadcast_arrays(*_floats(only_first, only_second, n))
    return _lower(first, second, images), -_lower(second, first, images)


def _floats(*values: ArrayLike) -> list[Floats]:
    return [np.asarray(value, np.float64) for value in values]


def _lower(first: Floats, second: Floats, n: Floats) -> Floats:
    """Return the mean differences below which the observed ones are Z95 standard errors away.

    With a multiplier m for the given mean, the observed mean difference is above the given one by m
    times the given one's variance, so the bound lies where m² times the variance is Z95².
    """

    def beyond(multiplier: Floats) -> NDArray[np.bool_]:
        variance = _likeliest(multiplier, first, second, n)[1]
        return np.asarray(multiplier**2 * variance > Z95**2)

    return _likeliest(crossing(beyond, first.shape[:-1]), first, second, n)[0]


def _likeliest(
    multiplier: Floats, first: Floats, second: Floats, n: Floats
) -> tuple[Floats, Floats]:
    """Return a mean difference `[...]` below the observed one, and the variance of its estimate.

    Both follow from the chances that are likeliest where that mean is given: of a dataset's images
    first / (v + pull), second / (v - pull) and both / v, where pull is the multiplier over k. That
    they add up to one is a cubic in v, whose largest root is wanted, but not below the pull: there
    the second's share is what the others leave, also where it was never seen.
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
