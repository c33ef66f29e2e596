"""Ranks that indistinguishable models share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Values
from bench.stats.anytime_pairs import anytime_paired_test, common_images
from bench.stats.effective_size import paired_leads
from bench.stats.intervals import Floats
from bench.stats.multiplicity import LEVEL, holm
from bench.stats.paired_tests import mcnemar_of_counts, paired_test

Signs = NDArray[np.int64]
EARLY = 0.25  # share of the 5% that is for tests before all images are there
_DIGITS = 12  # equal means may differ in the last bits if their datasets are in another order


def ranks(
    shares: Sequence[Sequence[Values]],
    images: Sequence[int] | None = None,
    *,
    anytime: bool = False,
    most: int | None = None,
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
            images, and are compared by `anytime_order`.
        most: The images after which they stop at the latest, if they stop when ranks are settled.
    """
    means = _means(shares)
    order = anytime_order(shares, most) if anytime else fixed_order(shares, images)
    beaten = (order < 0).sum(1).tolist()
    return [
        1 + max(beats for beats, other in zip(beaten, means, strict=True) if other >= mean)
        for mean in means
    ]


def anytime_order(models: Sequence[Sequence[Values]], most: int | None = None) -> Signs:
    """Return which of m models are better than others, wherever they stopped.

    The 5% for any wrong entry hold over all numbers of images at once. If the largest number was
    fixed before, two models that have all images are also compared by the test for that number. It
    needs a smaller difference, and costs the tests before a part of the 5% (Haybittle 1971).

    Args:
        models: Per model and dataset, whether each image is right; the images are in random order,
            and those of one model are the first of another.
        most: The largest number of images per dataset; None if it was not fixed before.

    Returns:
        Signs `[m,m]`: 1 if the row's model is better than the column's on the images that both
        have, -1 if it is worse, and 0 if the tests do not separate them.
    """
    ahead, _ = common_images(models)
    first, second = np.tril_indices(len(models), -1)
    p_values = anytime_paired_test(ahead[first, second], ahead[second, first])
    if most is not None:
        p_values = p_values / EARLY
        whole = [at for at, model in enumerate(models) if min(map(len, model)) >= most]
        last = np.full(ahead.shape, np.inf)
        rows, columns = np.tril_indices(len(whole), -1)
        final = _fixed_p_values([[values[:most] for values in models[at]] for at in whole])
        last[np.array(whole, int)[rows], np.array(whole, int)[columns]] = final
        p_values = np.minimum(p_values, last[first, second] / (1 - EARLY))
    return _signs(ahead - ahead.T, p_values.tolist())


def fixed_order(shares: Sequence[Sequence[Values]], images: Sequence[int] | None = None) -> Signs:
    """Return signs as `anytime_order` does, by tests for a number of images that was fixed before.

    See `ranks` for the arguments.
    """
    means = _means(shares)
    return _signs(np.subtract.outer(means, means), _fixed_p_values(shares, images))


def _fixed_p_values(
    shares: Sequence[Sequence[Values]], images: Sequence[int] | None = None
) -> list[float]:
    """Return the p-values of all pairs, in the order of `tril_indices`."""
    if len(shares) < 2:
        return []
    sizes = [len(answers) for answers in shares[0]]
    known = list(images or sizes)
    if (
        known == sizes
        and len(sizes) == 1
        and all(answers.dtype == np.bool_ for (answers,) in shares)
    ):
        right = np.array([answers for (answers,) in shares], np.float64)
        alone = right @ (1 - right).T  # images that the row's model gets right, the column's not
        first, second = np.tril_indices(len(shares), -1)
        pairs = zip(alone[first, second].tolist(), alone[second, first].tolist(), strict=True)
        # the same test as in `compare`
        return [mcnemar_of_counts(int(ahead), int(behind)) for ahead, behind in pairs]
    by_dataset = [np.array(parts, np.float64) for parts in zip(*shares, strict=True)]
    p_values: list[float] = paired_test(*np.stack([*map(_counts, by_dataset, known)], -1)).tolist()
    return p_values


def _means(shares: Sequence[Sequence[Values]]) -> list[float]:
    return [round(float(np.mean([part.mean() for part in model])), _DIGITS) for model in shares]


def _signs(leads: Floats, p_values: Sequence[float]) -> Signs:
    """Return the signs of the leads `[m,m]` that the corrected tests separate from 0.

    Args:
        leads: How far the row's model leads the column's.
        p_values: Per pair, in the order of `tril_indices`.
    """
    found = np.zeros(leads.shape, np.int64)
    found[np.tril_indices(len(leads), -1)] = np.array(holm(p_values)) < LEVEL
    return np.asarray((found + found.T) * np.sign(leads), np.int64)


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
