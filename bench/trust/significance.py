"""Verdicts from exact tests on the same images, so that a single image is never a finding."""

from math import comb, exp, fsum, log, log1p

import numpy as np
from numpy.typing import NDArray

from bench.stats import mcnemar
from bench.trust.findings import Verdict

Correct = NDArray[np.bool_]

DOUBT = 0.01  # one-sided p-value for a warning: 7 surviving images fall
FAIL = 0.001  # one-sided p-value for a failure: 10 images; a suite has hundreds of checks
MATERIAL = 0.05  # of all images; a number that is less wrong does not fail


def verdict_of(p: float, size: float) -> Verdict:
    """Return the verdict on a difference of accuracies `size` with p-value `p`."""
    if p < FAIL and size >= MATERIAL:
        return "fail"
    return "warn" if p < DOUBT else "pass"


def accuracy_drop(before: Correct, after: Correct) -> tuple[float, float]:
    """Return the drop of accuracy on the same images, and its exact one-sided p-value.

    McNemar's test (`bench.stats.mcnemar`); p is 1 if accuracy does not drop.
    """
    drop = float(before.mean() - after.mean())
    return drop, mcnemar(before, after) / 2 if drop > 0 else 1.0


def count_verdict(count: int, of: int, usual: float) -> tuple[Verdict, float]:
    """Return verdict and p-value for the number of suspicious images; honest models have few.

    Args:
        count: Number of suspicious images.
        of: Number of all images.
        usual: Share of suspicious images that an honest model may have, in [0,1].
    """
    p = binomial_tail(count, of, usual)
    return ("fail" if p < FAIL else "warn" if p < DOUBT else "pass"), p


def binomial_tail(count: int, of: int, chance: float) -> float:
    """Return the probability that at least `count` of `of` independent images are hit.

    Computed here, because SciPy, which this project would need for nothing else, has 143 MB.

    Args:
        count: Number of hits.
        of: Number of images.
        chance: Probability of a hit, in [0,1].
    """
    if count == 0 or chance == 1:
        return 1.0
    if count <= of * chance:  # the first terms may be 0 in floating point; those of misses are not
        return 1 - binomial_tail(of - count + 1, of, 1 - chance)
    if chance == 0:
        return 0.0
    # the logarithm of an integer of any size is exact; later terms follow from the first
    term = exp(log(comb(of, count)) + count * log(chance) + (of - count) * log1p(-chance))
    odds, terms = chance / (1 - chance), []
    for k in range(count, of + 1):
        terms.append(term)
        term *= odds * (of - k) / (k + 1)
    return fsum(terms)


def fisher_exact(first: Correct, second: Correct) -> float:
    """Return the exact one-sided p-value of a difference between accuracies on different images.

    Fisher's exact test (1935) of whether the first images are right more often. Computed here,
    because importing `scipy.stats` takes longer than the whole examination of a suite.
    """
    n, m, total = len(first), len(second), int(first.sum() + second.sum())
    most = min(n, total)
    ways = sum(comb(n, k) * comb(m, total - k) for k in range(int(first.sum()), most + 1))
    return ways / comb(n + m, total)
