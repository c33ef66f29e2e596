"""The interval that a table states beside a number: a score interval or a confidence sequence."""

from collections.abc import Sequence

import numpy as np

from bench.stats.anytime import anytime_interval, anytime_mean_interval
from bench.stats.intervals import Interval, mean_interval, wilson


def rate_interval(correct: float, n: float, *, anytime: bool) -> tuple[float, float]:
    """Return the 95% interval of the rate correct / n, within [0,1].

    Args:
        correct: Number of correct images.
        n: Number of images.
        anytime: Whether the data decided when to stop, so that Wilson's interval does not hold.
    """
    return anytime_interval(correct, n) if anytime else wilson(correct, n)


def mean_of(correct: Sequence[float], n: Sequence[float], *, anytime: bool) -> Interval:
    """Return the mean of the rates `correct / n` of k datasets with its 95% interval.

    `anytime` is that of `rate_interval`, for any of the datasets.
    """
    low, high = (anytime_mean_interval if anytime else mean_interval)(correct, n)
    return Interval(float(np.mean(np.divide(correct, n))), float(low), float(high))
