"""Differences of two numbers, their intervals and tests, and which differences are significant."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Values
from bench.stats import (
    LEVEL,
    Interval,
    anytime_paired_interval,
    anytime_paired_test,
    common_images,
    design_effect,
    holm,
    mcnemar,
    mean_of,
    paired_interval,
    paired_leads,
    paired_test,
    unpaired_interval,
)
from bench.suite.metrics import Metric, metric_of

AND = " and "  # joins the metrics of a mean over datasets with different metrics


@dataclass(frozen=True, slots=True)
class DatasetScores:
    """Per-image scores of a model on one dataset.

    Attributes:
        shares: Per seed of the attack, whether each image or caption is right, or its score divided
            by the best score.
        sample_ids: Ids of the entries of `shares`.
        images: Number of images; several captions of one image count as one, since they are
            correlated.
        anytime: Whether the images were drawn until a number was precise enough; then `shares` may
            be of the first of `sample_ids` alone, and another model may have more or fewer.
    """

    shares: tuple[Values, ...]
    sample_ids: tuple[str, ...]
    images: int
    anytime: bool = False

    @property
    def effective_size(self) -> float:
        """Effective sample size; the number of images for right-or-wrong answers."""
        return min(self.images / float(design_effect(vector)) for vector in self.shares)

    @property
    def rate(self) -> float:
        """Mean of the shares, averaged over seeds."""
        return float(np.mean([vector.mean() for vector in self.shares]))

    @property
    def correct(self) -> float:
        """Number of right answers of the effective sample, averaged over seeds."""
        return self.rate * self.effective_size


@dataclass(frozen=True, slots=True)
class ComparisonLabel:
    """Names of the two numbers that are compared; a text is empty where it does not apply.

    Attributes:
        model: Model of the first number.
        baseline: Model, folder or paper of the second number.
        threat: `white-box` or `transfer`; empty for clean images.
        source: Model on which transferred images are crafted.
        attack: Name as in the leaderboard's columns, without its budget; `clean` or `worst`.
        eps: Radius as written in the suite.
        metric: Name as in `cells.csv`; several, joined by `AND`, if the metric differs by dataset.
        dataset: Name of the dataset, or `mean`.
        flags: Flags of both numbers.
        differs: Fields in which the two protocols differ.
    """

    model: str
    baseline: str
    threat: str
    source: str
    attack: str
    eps: str
    metric: str
    dataset: str
    flags: str = ""
    differs: str = ""

    @property
    def first_metric(self) -> Metric:
        """The metric, or the first of several; all are on the same scale."""
        return metric_of(self.metric.partition(AND)[0])


@dataclass(frozen=True, slots=True)
class ScorePair:
    """Scores of two numbers on each dataset."""

    label: ComparisonLabel
    first: tuple[DatasetScores, ...]
    second: tuple[DatasetScores, ...]

    @property
    def anytime(self) -> bool:
        """Whether the data decided how many images a number has."""
        return any(scores.anytime for scores in (*self.first, *self.second))

    @property
    def same_images(self) -> bool:
        """Whether both numbers are on the same images."""
        first, second = ([s.sample_ids for s in scores] for scores in (self.first, self.second))
        return first == second


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means over datasets, on the scale of their metric.

    Attributes:
        label: Names of the two numbers.
        n: Number of images, or captions, of the first number.
        first: The model's number. None if a number is missing; then all following fields are None.
        second: The baseline's number.
        low: Lower bound of the 95% interval of the difference.
        high: Upper bound of the 95% interval of the difference.
        p: Two-sided p-value of no difference; None if the images differ.
        p_holm: `p`, Holm-corrected for all tests of its family.
        real: Whether `p_holm` is below 5%.
    """

    label: ComparisonLabel
    n: int = 0
    first: float | None = None
    second: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def real(self) -> bool | None:
        """Whether the difference is significant at 5% after correction; None without a test."""
        return None if self.p_holm is None else self.p_holm < LEVEL

    @property
    def value(self) -> float | None:
        """The first number minus the second."""
        return None if self.first is None or self.second is None else self.first - self.second


def differences_of(families: Sequence[Sequence[ScorePair]]) -> list[list[Difference]]:
    """Return the differences of families of tests, each corrected by itself, in the order given.

    All pairs have the same number of datasets. On the same images, a difference has a paired test
    and interval: McNemar's exact test for right-or-wrong answers, one per image of a single dataset
    and one seed, otherwise the score test of `bench.stats`. If the data decided when to stop, both
    numbers are of the images that both have, and test and interval are anytime-valid. On different
    images it has the interval for unpaired rates and no test.
    """
    # all pairs at once: the tests iterate, which takes as long for one pair as for hundreds
    found = iter(_in_fractions([_on_common_images(pair) for pairs in families for pair in pairs]))
    return [
        [_on_metric_scale(each) for each in _corrected([next(found) for _ in pairs])]
        for pairs in families
    ]


def _in_fractions(pairs: Sequence[ScorePair]) -> list[Difference]:
    """Return the differences of pairs as fractions of the best score, with uncorrected tests."""
    found = [_without_interval(pair) for pair in pairs]
    paired = [index for index, pair in enumerate(pairs) if pair.same_images and not pair.anytime]
    tests = _paired_tests(pairs, paired) if paired else {}
    for index, pair in enumerate(pairs):
        if pair.same_images:
            p, low, high = _anytime_test(pair) if pair.anytime else tests[index]
            found[index] = replace(found[index], low=low, high=high, p=p)
        else:
            low, high = unpaired_interval(_mean(pair.first), _mean(pair.second))
            found[index] = replace(found[index], low=low, high=high)
    return found


def _on_common_images(pair: ScorePair) -> ScorePair:
    """Return the scores on the first images, which both numbers have on all datasets.

    The pair is unchanged if the data did not decide how many images there are, or if the first
    images differ.
    """
    if not pair.anytime:
        return pair
    t = min(len(s.shares[0]) for s in (*pair.first, *pair.second))
    first, second = (
        tuple(DatasetScores((s.shares[0][:t],), s.sample_ids[:t], t, s.anytime) for s in scores)
        for scores in (pair.first, pair.second)
    )
    common = ScorePair(pair.label, first, second)
    return common if common.same_images else pair


def _anytime_test(pair: ScorePair) -> tuple[float, float, float]:
    """Return the p-value and the bounds of a difference of which the data decided the images."""
    ahead, images = common_images(
        [[s.shares[0] for s in scores] for scores in (pair.first, pair.second)]
    )
    leads = float(ahead[0, 1]), float(ahead[1, 0])
    return float(anytime_paired_test(*leads)), *anytime_paired_interval(*leads, float(images[0, 1]))


def _paired_tests(
    pairs: Sequence[ScorePair], paired: Sequence[int]
) -> dict[int, tuple[float, float, float]]:
    """Return p-values and bounds of the differences of some pairs, by their index."""
    counts = np.array([_counts(pairs[index]) for index in paired])  # [pairs, 3, datasets]
    table = (counts[:, 0], counts[:, 1], counts[:, 2])
    lows, highs = paired_interval(*table)
    score = paired_test(*table).tolist()
    exact = [_mcnemar_or_none(pairs[index]) for index in paired]
    p_values = [p if e is None else e for p, e in zip(score, exact, strict=True)]
    rows = zip(p_values, lows.tolist(), highs.tolist(), strict=True)
    return dict(zip(paired, rows, strict=True))


def _corrected(family: Sequence[Difference]) -> list[Difference]:
    """Return the differences of a family with p-values that are corrected for all its tests."""
    corrected = iter(holm([item.p for item in family if item.p is not None]))
    return [item if item.p is None else replace(item, p_holm=next(corrected)) for item in family]


def _on_metric_scale(found: Difference) -> Difference:
    best = found.label.first_metric.highest
    numbers = {name: getattr(found, name) for name in ("first", "second", "low", "high")}
    return replace(found, **{name: value * best for name, value in numbers.items()})


def _without_interval(pair: ScorePair) -> Difference:
    n = sum(scores.shares[0].size for scores in pair.first)
    first, second = (float(np.mean([s.rate for s in sides])) for sides in (pair.first, pair.second))
    return Difference(pair.label, n, first, second)


def _mean(scores: Sequence[DatasetScores]) -> Interval:
    correct, sizes = [s.correct for s in scores], [s.effective_size for s in scores]
    return mean_of(correct, sizes, anytime=any(s.anytime for s in scores))


def _counts(pair: ScorePair) -> NDArray[np.float64]:
    """Return `[3,k]` per dataset: images only the first or only the second gets right, and all.

    The counts are means over the seeds of the attack. Captions are scaled to the number of images,
    and graded scores to their effective sample size.
    """
    columns = []
    for ours, theirs in zip(pair.first, pair.second, strict=True):
        seeds = []
        for a, b in zip(ours.shares, theirs.shares, strict=True):
            ahead, behind, effect = paired_leads(a, b)
            seeds.append([ahead / a.size / effect, behind / a.size / effect, 1 / effect])
        columns.append(np.mean(seeds, 0) * ours.images)
    return np.array(columns, np.float64).T


def _mcnemar_or_none(pair: ScorePair) -> float | None:
    """Return the p-value of McNemar's test, or None where the test does not apply."""
    (ours, *others), theirs = pair.first, pair.second[0]
    if others or len(ours.shares) > 1 or ours.images != ours.shares[0].size:
        return None
    first, second = ours.shares[0], theirs.shares[0]
    if not first.dtype == second.dtype == np.bool_:
        return None
    return mcnemar(first.astype(np.bool_), second.astype(np.bool_))
