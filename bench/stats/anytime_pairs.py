"""Test and interval of the difference of two models that hold at whatever image they stop.

Two models see the same images. For each image a gambler bets a share s of the wealth on the first
model's lead: 1 if it alone is right, -1 if the second alone is, else 0. An image of dataset d with
the mean lead m(d) multiplies the wealth by 1 + s m(d) on average. Over an image of each dataset
that is at most (1 + s m)^k, where m is the mean of the m(d) (the geometric mean is at most the
arithmetic mean). So if m is 0, the wealth is a nonnegative supermartingale, whichever model single
datasets favour, provided that all datasets have equally many images. A difference other than 0 is
tested with the leads minus that difference. See `bench.stats.anytime` for such tests.
"""

from collections.abc import Sequence
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from bench.core.types import Values
from bench.stats.anytime import THRESHOLD
from bench.stats.intervals import Floats

_HALVINGS = 24
# Shares of the wealth: 0.15 is best for models that a few hundred discordant images separate; the
# weights make shares of a third to three times that cost little.
_SHARES = np.geomspace(0.005, 0.99, 48)
_WEIGHTS = np.tile(np.exp(-((np.log(_SHARES / 0.15) / np.log(3)) ** 2) / 2), 2)
_SHARES = np.concatenate([-_SHARES, _SHARES])
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
_LEADS = np.array([[1.0], [-1.0], [0.0]])
_above = np.vectorize(lambda z: erfc(z / sqrt(2)) / 2, otypes=[np.float64])  # of a normal variable


def common_images(models: Sequence[Sequence[Values]]) -> tuple[Floats, Floats]:
    """Return how often each of m models alone is right, compared with each other.

    Two models are compared on the first images of each dataset, as many as both have of every
    dataset.

    Args:
        models: Per model and dataset, whether each image is right; the images are in random order,
            and those of one model are the first of another.

    Returns:
        Images `[m,m]` about which only the row's model is right, and not the column's; and the
        number of images `[m,m]` on which the two are compared.
    """
    sizes = np.array([min(map(len, model)) for model in models])
    right = np.zeros((len(models), len(models[0]), sizes.max()), np.float32)
    for place, (model, size) in enumerate(zip(models, sizes, strict=True)):
        right[place, :, :size] = [values[:size] for values in model]
    ahead, images = np.zeros((2, len(models), len(models)))
    for place, size in enumerate(sizes):
        others = np.flatnonzero(sizes >= size)
        mine = right[place, :, :size].ravel()
        theirs = right[others, :, :size].reshape(len(others), -1)
        both = theirs @ mine
        ahead[place, others] = mine.sum() - both
        ahead[others, place] = theirs.sum(1) - both
        images[place, others] = images[others, place] = len(mine)
    return ahead, images


def anytime_paired_test(ahead: ArrayLike, behind: ArrayLike) -> Floats:
    """Return two-sided p-values of equal means of two models, valid whenever they stop.

    Args:
        ahead: Images `[...]` about which only the first model is right, over all datasets.
        behind: Images `[...]` about which only the second model is right.
    """
    return np.asarray(np.exp(-np.maximum(0.0, log_wealth_of_leads(ahead, behind, 0, 0.0))))


def anytime_paired_interval(ahead: float, behind: float, n: float) -> tuple[float, float]:
    """Return the 95% confidence sequence of the first model's mean minus the second's.

    Args:
        ahead: Number of images about which only the first model is right, over all datasets.
        behind: Number of images about which only the second model is right.
        n: Number of images of all datasets.
    """
    bounds = []
    for outer in (-1.0, 1.0):
        inner = (ahead - behind) / n
        for _ in range(_HALVINGS):
            middle = (inner + outer) / 2
            wealth = log_wealth_of_leads(ahead, behind, n - ahead - behind, middle)
            inner, outer = (inner, middle) if wealth >= THRESHOLD else (middle, outer)
        bounds.append(outer)
    return bounds[0], bounds[1]


def chance_of_separation(
    ahead: ArrayLike, behind: ArrayLike, seen: ArrayLike, level: float
) -> Floats:
    """Return the chance that a test of all images separates two models, from the first images.

    The predictive probability under a flat prior of their difference (Spiegelhalter et al. 1986).

    Args:
        ahead: Images `[...]` about which only the first model is right so far.
        behind: Images `[...]` about which only the second model is right so far.
        seen: Share `[...]` of all images that was seen, below 1.
        level: The p-value that separates them.
    """
    first, second, share = (np.asarray(given, float) for given in (ahead, behind, seen))
    lead = np.abs(first - second) / np.sqrt(np.maximum(first + second, 1))  # in standard errors
    needed = -NormalDist().inv_cdf(level / 2) * np.sqrt(share)
    upper, lower = (_above((needed - now) / np.sqrt(1 - share)) for now in (lead, -lead))
    return np.asarray(upper + lower)


def log_wealth_of_leads(
    ahead: ArrayLike, behind: ArrayLike, equal: ArrayLike, difference: float
) -> Floats:
    """Return the log wealth `[...]` against a difference of two models, in [-1,1].

    Args:
        ahead: Images `[...]` about which only the first model is right.
        behind: Images `[...]` about which only the second model is right.
        equal: Images `[...]` about which both are right or both wrong.
        difference: The difference, in [-1,1].
    """
    counts = np.stack(np.broadcast_arrays(ahead, behind, equal), -1)
    steps = (_LEADS - difference) / (1 + abs(difference))
    exponents = counts @ np.log1p(_SHARES * steps) + _LOG_WEIGHTS
    largest = exponents.max(-1)
    return np.asarray(largest + np.log(np.exp(exponents - largest[..., None]).sum(-1)))
