"""When a difference is a finding: exact tests on the same images, so that one image is none."""

from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from bench.stats import mcnemar
from bench.trust.findings import Verdict

Correct = NDArray[np.bool_]

DOUBT = 0.01  # one-sided; 7 images broken of those that the number counts as robust
FAIL = 0.001  # one-sided, as a suite has hundreds of checks; 10 such images
MATERIAL = 0.05  # of all images: less than that and the number is still nearly right


def verdict_of(p: float, size: float) -> Verdict:
    """Return the verdict on a difference of accuracies with its one-sided p-value."""
    if p < FAIL and size >= MATERIAL:
        return "fail"
    return "warn" if p < DOUBT else "pass"


def accuracy_drop(before: Correct, after: Correct) -> tuple[float, float]:
    """Return by how much accuracy accuracy_drop on the same images, and the exact one-sided p-value.

    McNemar's test (`bench.stats.mcnemar`); 1 where accuracy does not fall.
    """
    drop = float(before.mean() - after.mean())
    return drop, mcnemar(before, after) / 2 if drop > 0 else 1.0


def count_verdict(count: int, of: int, usual: float) -> Verdict:
    """Return the verdict on a count of images of a kind of which honest models have few.

    Args:
        count: How many there are.
        of: Among how many.
        usual: The share that an honest model may have of them.
    """
    p = binomial_tail(count, of, usual)
    if p < FAIL:
        return "fail"
    return "warn" if p < DOUBT else "pass"


def binomial_tail(count: int, of: int, chance: float) -> float:
    """Return the probability of `count` or more of `of` independent images."""
    if count == 0:
        return 1.0
    return float(
        betainc(count, of - count + 1, chance)
    )  # scipy's other tail, `bdtrc`, is less exact


def fisher_exact(first: Correct, second: Correct) -> float:
    """Return the exact one-sided p-value that the first images are right more often.

    For different images, of the hypergeometric distribution (Fisher 1935). By hand, since scipy has
    it in `scipy.stats` alone, whose import takes longer than a suite's whole examination here.
    """
    n, m, total = len(first), len(second), int(first.sum() + second.sum())
    most = min(n, total)
    ways = sum(comb(n, k) * comb(m, total - k) for k in range(int(first.sum()), most + 1))
    return ways / comb(n + m, total)
