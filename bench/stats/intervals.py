"""Score intervals of one accuracy, and of a mean of accuracies over datasets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054  # normal quantile of a two-sided 95% interval
_HALVINGS = 60
_FEW = (
    3  # right images up to which Brown, Cai and DasGupta change the bound; of 50 images, one less
)
# 5% quantiles of gamma distributions by shape: bounds of a Poisson mean, from so many events;
# a table to six decimals, since scipy's further digits would change intervals in published tables
_SHAPES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
_BOUNDS = (0.0, 0.001966, 0.051293, 0.175923, 0.355362, 0.572738, 0.817691, 1.083675)
_POWERS = (-16.0, 64.0)  # of two, of multipliers: from next to none to beyond any number of images

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with its 95% interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Interval":
        """Return the same on another scale."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def wilson(correct: float, n: float) -> tuple[float, float]:
    """Return the modified 95% Wilson score interval of the rate correct / n, within [0,1].

    Wilson 1927; where one to three images are right its lower bound is too high, and that of a
    Poisson mean takes its place, as the upper one's does of wrong images (Brown, Cai and DasGupta
    2001, section 4.1.1; of 50 images or fewer for one and two).
    """
    if n == 0:
        return 0.0, 1.0
    counts, images = np.array([[correct], [n - correct]], np.float64), np.full((2, 1), n, float)
    right, wrong = _rare(counts / images, images).tolist()
    rate = correct / n
    centre = rate + Z95**2 / (2 * n)
    half = Z95 * sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return (
        max(0.0, min((centre - half) / scale, right)),
        min(1.0, max((centre + half) / scale, 1 - wrong)),
    )


def mean_interval(correct: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return the 95% score intervals of means over datasets, within [0,1].

    The score test inverted, as Wilson's interval is, with the rates that are likeliest where the
    mean is given (a linear combination of proportions, Martín Andrés et al. 2011). Where few images
    make up the mean, its bound is that of a weighted sum of Poisson counts (Fay and Feuer 1997), so
    that of one dataset it is the interval of `wilson`; of equal rates on equally many images, that
    of all images together.

    Args:
        correct: How many images `[..., k]` of each dataset were right; a fraction of an image where
            one counts in parts.
        n: How many images `[..., k]` there are, at least one of each dataset; of scores between
            wrong and right, as many as they are worth by `bench.stats.effective_size`.

    Returns:
        Lower and upper bounds `[...]`.
    """
    images = np.asarray(n, np.float64)
    rates = np.asarray(correct, np.float64) / images
    low, below = (
        np.minimum(_lower(some, images), _rare(some, images)) for some in (rates, 1 - rates)
    )
    return low, 1 - below


def mean_of(correct: Sequence[float], n: Sequence[float]) -> Interval:
    """Return the mean of the rates `correct / n` of k datasets with its interval."""
    low, high = mean_interval(correct, n)
    return Interval(float(np.mean(np.divide(correct, n))), float(low), float(high))


def difference(first: Interval, second: Interval) -> tuple[float, float]:
    """Return the 95% interval of the difference of two rates of different images.

    Newcombe 1998, method 10: the distances to the bounds of either add as squares.
    """
    value = first.value - second.value
    below = sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    above = sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return value - below, value + above


def crossing(beyond: Callable[[Floats], NDArray[np.bool_]], shape: tuple[int, ...]) -> Floats:
    """Return per interval the Lagrange multiplier at which its score test begins to reject.

    A bisection: the test is a step from False to True, and scipy's array solvers need a function
    that is continuous.

    Args:
        beyond: Says for multipliers of a shape whether each is beyond that point.
        shape: That shape.
    """
    low, high = (np.full(shape, power) for power in _POWERS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_beyond = beyond(np.exp2(middle))
        low, high = np.where(is_beyond, low, middle), np.where(is_beyond, middle, high)
    return np.asarray(np.exp2(high))


def _rare(rates: Floats, n: Floats) -> Floats:
    """Return lower bounds of means that few right images make up, and 1 of all others.

    A mean y whose estimated variance is v, where counts are Poisson, is like v / y times one count
    of y² / v. An image counts in parts where seeds differ, so bounds reach half of one further.
    """
    k = rates.shape[-1]
    mean = rates.mean(-1)
    variance = (rates / n).sum(-1) / k**2
    unit = np.divide(variance, mean, out=np.ones_like(mean), where=mean > 0)
    count = mean / unit
    total = np.broadcast_to(n, rates.shape).sum(-1)
    few = count < np.where(total > 50, _FEW, _FEW - 1) + 0.5
    return np.asarray(np.where(few, np.interp(count, _SHAPES, _BOUNDS) * unit, 1.0))


def _lower(rates: Floats, n: Floats) -> Floats:
    """Return the means below which the observed ones are Z95 standard errors away.

    With a multiplier m for the given mean, the likeliest rate p of a dataset whose weight per image
    is a = 1 / (k n) solves `rate - p = m a p (1 - p)`. So the observed mean is above the given one
    by m times the given one's variance, and the bound lies where m² times the variance is Z95².
    """
    k = rates.shape[-1]
    per_image = 1 / (k * n)

    def likeliest(multiplier: Floats) -> Floats:
        slope = multiplier[..., None] * per_image
        root = np.sqrt((1 + slope) ** 2 - 4 * slope * rates)
        return np.asarray(2 * rates / (1 + slope + root))

    def beyond(multiplier: Floats) -> NDArray[np.bool_]:
        p = likeliest(multiplier)
        return np.asarray(multiplier**2 * (per_image / k * p * (1 - p)).sum(-1) > Z95**2)

    shape = np.broadcast_shapes(rates.shape, n.shape)[:-1]
    bound = likeliest(crossing(beyond, shape)).mean(-1)
    return np.asarray(np.where(rates.any(-1), bound, 0.0))
