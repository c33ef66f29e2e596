"""Multiple testing: corrected p-values, and ranks that indistinguishable models share."""

from collections.abc import Sequence

import numpy as np

from bench.core.types import Values
from bench.stats.anytime import anytime_paired_test, mean_leads
from bench.stats.effective_size import paired_leads
from bench.stats.intervals import Floats
from bench.stats.paired_tests import mcnemar_of_counts, paired_test

LEVEL = 0.05  # family-wise error rate of the tests of one table
_DIGITS = 12  # equal means may differ in the last bits if their datasets are in another order


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-corrected p-values (Holm 1979), in the order given.

    scipy corrects for the false discovery rate only.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for the false discovery rate (1995), in the order given.

    The same as `scipy.stats.false_discovery_control`, whose import takes longer than a report.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    adjusted = [0.0] * len(p_values)
    smallest = 1.0
    for place, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - place))
        adjusted[index] = smallest
    return adjusted


def ranks(
    shares: Sequence[Sequence[Values]],
    images: Sequence[int] | None = None,
    *,
    anytime: bool = False,
) -> list[int]:
    """Rank models by their mean score over datasets, on the same images.

    A model beats another if its mean is higher and a paired test over all pairs of models,
    corrected by Holm, rejects equality; the test is McNemar's exact test if there is one dataset of
    right-or-wrong answers. The rank of a model is 1 plus the largest number of models that beat it,
    or beat a model whose mean is at least as high. So models that no test separates share a rank,
    equal means have equal ranks, and a model never ranks better than a model with a higher mean.

    Args:
        shares: Per model and dataset, whether each image is right, or its score in [0,1]. All
            models have the same images in the same order.
        images: Number of images per dataset, where several answers belong to one image. Answers to
            one image are correlated, so they count as one image. If None, each answer has its own
            image.
        anytime: Whether the data decided when to stop. Models may then have other numbers of
            images; those of one are the first of another. Two models are compared by
            `anytime_paired_test` on the images that both have.
    """
    sizes = [len(answers) for answers in shares[0]]
    known = list(images or sizes)
    count = len(shares)
    means = [round(float(np.mean([part.mean() for part in model])), _DIGITS) for model in shares]
    first, second = np.tril_indices(count, -1)
    if anytime:
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        p_values = [anytime_paired_test(mean_leads(shares[i], shares[j])) for i, j in pairs]
    elif (
        known == sizes
        and len(sizes) == 1
        and all(answers.dtype == np.bool_ for (answers,) in shares)
    ):
        right = np.array([answers for (answers,) in shares], np.float64)
        alone = right @ (1 - right).T  # images that the row's model gets right, the column's not
        pairs = zip(alone[first, second].tolist(), alone[second, first].tolist(), strict=True)
        # the same test as in `compare`
        p_values = [mcnemar_of_counts(int(ahead), int(behind)) for ahead, behind in pairs]
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
    """Return `[3, pairs]`: images only the first or only the second model gets right, and all.

    Args:
        shares: Scores `[models, n]` of one dataset, in [0,1].
        images: Number of images that the n answers belong to.
    """
    images_per_answer = images / shares.shape[1]
    found = [np.zeros((3, 0))]
    for place in range(1, len(shares)):
        ahead, behind, effect = paired_leads(shares[place], shares[:place])
        found.append(
            np.array([ahead, behind, np.full(place, shares.shape[1])]) / effect * images_per_answer
        )
    return np.concatenate(found, 1)
