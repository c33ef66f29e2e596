"""Many tests at once: corrected p-values, and ranks that are shared where they do not separate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.stats.paired import mcnemar, paired_test

LEVEL = 0.05  # chance, over all tests of one table, that any calls equal models different
_DIGITS = 12  # means of equal counts differ in the last bits by the order of their datasets


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def ranks(correct: Sequence[Sequence[NDArray[np.bool_]]]) -> list[int]:
    """Rank models on the same images by their mean accuracy over datasets.

    A model is beaten by those that have a higher mean and that a Holm-corrected paired test over
    all pairs, exact where there is one dataset, separates from it. Its rank is 1 plus how many beat
    it, or beat another of at least its own mean: so models that cannot be told apart share a rank,
    equal means have equal ranks, and no rank is better than that of a higher mean.

    Args:
        correct: Per model and dataset, whether each image was right, in one order of images.
    """
    count = len(correct)
    means = [round(float(np.mean([part.mean() for part in model])), _DIGITS) for model in correct]
    by_dataset = [np.array(parts, np.int64) for parts in zip(*correct, strict=True)]
    # [k, models, models]: images that the first is right about and the second is not
    wins = np.array([right @ (1 - right).T for right in by_dataset]).reshape(-1, count, count)
    first, second = np.tril_indices(count, -1)
    if len(by_dataset) == 1:  # as `compare` tests two models on one dataset
        p_values = [
            mcnemar(correct[i][0], correct[j][0])
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
        ]
    else:
        p_values = paired_test(
            wins[:, first, second].T, wins[:, second, first].T, [len(part) for part in correct[0]]
        ).tolist()
    beaten = [0] * count
    for i, j, p_value in zip(first, second, holm(p_values), strict=True):
        if p_value < LEVEL and means[i] != means[j]:
            beaten[i if means[i] < means[j] else j] += 1
    return [
        1 + max(beats for beats, other in zip(beaten, means, strict=True) if other >= mean)
        for mean in means
    ]
