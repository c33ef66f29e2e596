"""Scores between wrong and right, counted as answers that are right or wrong.

A mean of n scores with the variance s² varies as much as the mean of n / u answers that are right
or wrong and have the same mean p, where u = s² / (p (1 - p)). So whatever the intervals and tests
of this package do with so many right answers of so many, they do with n p / u of n / u. Of answers
that are right or wrong u is one, to the last bit, and nothing changes.

A sample says little of rare scores that are larger than those it has, so u is never taken from it
alone: as in additive smoothing it has further answers, of which one is the largest score.
"""

import numpy as np
from numpy.typing import ArrayLike

from bench.core.types import Values
from bench.stats.intervals import Floats


def unit(shares: Values) -> Floats:
    """Return the u of scores in [0,1], `[..., n]` to `[...]`; n / u answers are as good as they.

    Two answers are added to those of the sample: one that is right or wrong, with its mean, and one
    of the largest score. One where all scores are none or the best.
    """
    if shares.dtype == np.bool_:
        return np.ones(shares.shape[:-1])  # what follows comes to the same, but tables have many
    scores = shares.astype(np.float64)
    n, total, largest = scores.shape[-1], scores.sum(-1), scores.max(-1)
    squares = (scores**2).sum(-1) - total**2 / n
    widest = total - total**2 / n  # what the squares would be of right and wrong answers
    return _ratio(squares + widest / n + largest**2, widest + widest / n + largest)


def apart(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return by how much either of two models is ahead, and the u of what is between them.

    Where the first is ahead by `a` in all and the second by `b`, the two are as far apart, and by
    chance as much, as models that alone are right about `a / u` and `b / u` of `n / u` images. The
    largest score of either is added to the differences.

    Args:
        first: Scores `[..., n]` of the first model, in [0,1].
        second: Those of the second, of the same images.

    Returns:
        Sums `[...]` of the first's scores less the second's where those are larger, of the second's
        less the first's, and u.
    """
    ours, theirs = np.asarray(first, np.float64), np.asarray(second, np.float64)
    between = ours - theirs
    ahead, behind = (np.maximum(side, 0).sum(-1) for side in (between, -between))
    largest = np.maximum(ours, theirs).max(-1)
    squares = (between**2).sum(-1)
    return ahead, behind, _ratio(squares + largest**2, ahead + behind + largest)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return the ratio; one where there is nothing, of which sums of squares may leave a trace."""
    found = np.divide(part, whole, out=np.ones_like(whole), where=whole > 0)
    return np.asarray(np.clip(found, np.finfo(np.float64).tiny, 1))
