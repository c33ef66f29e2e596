"""Effective sample size of graded scores in [0,1].

The mean of n scores with variance s² has the same variance as the mean of n / u right-or-wrong
answers with the same mean p, where u = s² / (p (1 - p)) is the design effect and n / u the
effective sample size. So the intervals and tests of this package treat n graded scores as n / u
answers of which n p / u are right. For right-or-wrong answers u is exactly 1, and nothing changes.

A sample may miss rare scores that are larger than all scores in it. So u is estimated with
additional pseudo-observations, as in additive smoothing; one of them is the largest score.
"""

import numpy as np
from numpy.typing import ArrayLike

from bench.core.types import Values
from bench.stats.intervals import Floats


def design_effect(shares: Values) -> Floats:
    """Return the design effect u of scores `[..., n]` in [0,1]; n / u is the effective sample size.

    Two pseudo-observations are added: a right-or-wrong answer with the sample's mean, and an answer
    with the largest score. u is 1 where all scores are 0 or 1.

    Returns:
        Design effects `[...]` in (0,1].
    """
    if shares.dtype == np.bool_:
        return np.ones(shares.shape[:-1])  # as the formula below, which is slow for large tables
    scores = shares.astype(np.float64)
    n, total, largest = scores.shape[-1], scores.sum(-1), scores.max(-1)
    squares = (scores**2).sum(-1) - total**2 / n
    widest = total - total**2 / n  # sum of squares of right-or-wrong answers with this mean
    return _ratio(squares + widest / n + largest**2, widest + widest / n + largest)


def paired_leads(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the summed leads of two models on the same images, and their design effect.

    If the leads sum to `a` for the first model and `b` for the second, the difference has the same
    mean and variance as between two models of which the first alone is right about `a / u` and the
    second alone about `b / u` of `n / u` images. One pseudo-observation, the largest score of
    either model, is added to the differences.

    Args:
        first: Scores `[..., n]` of the first model, in [0,1].
        second: Scores `[..., n]` of the second model on the same images.

    Returns:
        Arrays `[...]`: the sum of `first - second` where the first is larger, the sum of `second -
        first` where the second is larger, and the design effect u.
    """
    ours, theirs = np.asarray(first, np.float64), np.asarray(second, np.float64)
    between = ours - theirs
    ahead, behind = (np.maximum(side, 0).sum(-1) for side in (between, -between))
    largest = np.maximum(ours, theirs).max(-1)
    squares = (between**2).sum(-1)
    return ahead, behind, _ratio(squares + largest**2, ahead + behind + largest)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return `part / whole`, at most 1, since rounding may exceed it; 1 where `whole` is 0."""
    found = np.divide(part, whole, out=np.ones_like(whole), where=whole > 0)
    return np.asarray(np.clip(found, np.finfo(np.float64).tiny, 1))
