"""Intervals and paired tests for accuracies, in closed form."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054  # normal quantile of a two-sided 95% interval


def wilson(correct: float, n: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of the rate correct / n (Wilson 1927), within [0,1]."""
    if n == 0:
        return 0.0, 1.0
    rate = correct / n
    centre = rate + Z95**2 / (2 * n)
    half = Z95 * sqrt(rate * (1 - rate) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the exact two-sided p-value that two models are right equally often.

    The binomial test on the images where exactly one is right (McNemar 1947).

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


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def ranks(correct: Sequence[NDArray[np.bool_]], scores: Sequence[float]) -> list[int]:
    """Rank models on the same images: 1 plus the number of models that are really better.

    A model is better where its score is higher and a Holm-corrected paired test over all
    pairs separates the two at 5%; so models that cannot be told apart share a rank.

    Args:
        correct: Per model, whether each image was right, in one order of images.
        scores: Per model, the number that it is ranked by.
    """
    pairs = [(i, j) for i in range(len(correct)) for j in range(i)]
    adjusted = holm([mcnemar(correct[i], correct[j]) for i, j in pairs])
    beaten = [0] * len(correct)
    for (i, j), p_value in zip(pairs, adjusted, strict=True):
        if p_value < 0.05 and scores[i] != scores[j]:
            beaten[i if scores[i] < scores[j] else j] += 1
    return [1 + count for count in beaten]
