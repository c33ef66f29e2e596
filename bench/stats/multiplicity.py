"""Many tests at once: corrected p-values, and ranks that are shared where they do not separate."""

from collections.abc import Sequence

import numpy as np

from bench.core.types import Values
from bench.stats.effective_size import apart
from bench.stats.intervals import Floats
from bench.stats.paired_tests import mcnemar, paired_test

LEVEL = 0.05  # chance, over all tests of one table, that any calls equal models different
_DIGITS = 12  # means of equal counts differ in the last bits by the order of their datasets


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the order given.

    scipy has no such correction, only those of the false discovery rate.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def ranks(shares: Sequence[Sequence[Values]], images: Sequence[int] | None = None) -> list[int]:
    """Rank models on the same images by their mean score over datasets.

    A model is beaten by those that have a higher mean and that a Holm-corrected paired test over
    all pairs, exact where there is one dataset of right and wrong answers, separates from it. Its
    rank is 1 plus how many beat it, or beat another of at least its own mean: so models that cannot
    be told apart share a rank, equal means have equal ranks, and no rank is better than that of a
    higher mean.

    Args:
        shares: Per model and dataset, whether each image was right, or its score in [0,1], in one
            order of images.
        images: Per dataset how many images these are of, where several answers are about one: as
            they fall together, they are worth no more; each its own where None.
    """
    sizes = [len(answers) for answers in shares[0]]
    known = list(images or sizes)
    count = len(shares)
    means = [round(float(np.mean([part.mean() for part in model])), _DIGITS) for model in shares]
    first, second = np.tril_indices(count, -1)
    if (
        known == sizes
        and len(sizes) == 1
        and all(answers.dtype == np.bool_ for (answers,) in shares)
    ):
        right = [answers.astype(np.bool_) for (answers,) in shares]
        p_values = [  # as `compare` tests two models on one dataset
            mcnemar(right[i], right[j])
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
        ]
    else:
        by_dataset = [np.array(parts, np.float64) for parts in zip(*shares, strict=True)]
        p_values = paired_test(*np.stack([*map(_counts, by_dataset, known)], -1)).tolist()
    beaten = [0] * count
    for i, j, p_value in zip(first, second, holm(p_values), strict=True):
        if p_value < LEVEL and means[i] != means[j]:
            beaten[i if means[i] < means[j] else j] += 1
    return [
        1 + max(beats for beats, other in zip(beaten, means, strict=True) if other >= mean)
        for mean in means
    ]


def _counts(shares: Floats, images: int) -> Floats:
    """Return per pair of models `[3, pairs]` how many images either alone is right about, and all.

    Args:
        shares: Scores `[models, n]` of one dataset.
        images: How many images they are of.
    """
    worth = images / shares.shape[1]
    found = [np.zeros((3, 0))]
    for place in range(1, len(shares)):
        ahead, behind, one = apart(shares[place], shares[:place])
        found.append(np.array([ahead, behind, np.full(place, shares.shape[1])]) / one * worth)
    return np.concatenate(found, 1)
