"""How much better one number is than another: differences, their intervals, and which are real."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Values
from bench.stats import (
    LEVEL,
    Interval,
    apart,
    difference,
    holm,
    mcnemar,
    mean_of,
    paired_interval,
    paired_test,
    unit,
)
from bench.suite.metrics import Metric, metric_of

AND = " and "  # between the metrics of a number that is the mean over several


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model got right of one dataset.

    Attributes:
        shares: Per seed of the attack, whether each image or caption was right, or its share of the
            best score.
        sample_ids: What `shares` is of.
        images: How many images that is: captions of one, which fall together, count as one.
    """

    shares: tuple[Values, ...]
    sample_ids: tuple[str, ...]
    images: int

    @property
    def worth(self) -> float:
        """How many answers that are right or wrong vary as little; where such, the images."""
        return min(self.images / float(unit(vector)) for vector in self.shares)

    @property
    def right(self) -> float:
        """How many of those are right, in the mean over seeds."""
        return float(np.mean([vector.mean() for vector in self.shares])) * self.worth


@dataclass(frozen=True, slots=True)
class Label:
    """Which two numbers are compared; texts are empty where they say nothing.

    Attributes:
        model: Whose number it is.
        baseline: Whose number it is held against.
        threat: `white-box` or `transfer`; empty when clean.
        source: Model that transferred images come from.
        attack: As in a leaderboard's columns, without its budget; `clean` or `worst`.
        eps: Radius as a suite writes it.
        metric: As in `cells.csv`; several, with `AND` between them, if datasets differ in it.
        dataset: Of one, or `mean`.
        flags: Those of either number.
        differs: What of the two protocols differs.
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
        """The metric, or the first of several, which are on the same scale."""
        return metric_of(self.metric.partition(AND)[0])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two numbers, dataset by dataset."""

    label: Label
    first: tuple[Outcome, ...]
    second: tuple[Outcome, ...]

    @property
    def same_images(self) -> bool:
        """Whether both are of the same images."""
        ids = [[outcome.sample_ids for outcome in side] for side in (self.first, self.second)]
        return ids[0] == ids[1]


@dataclass(frozen=True, slots=True)
class Delta:
    """A difference of two numbers, both means over datasets, on the scale of their metric.

    Attributes:
        label: Which numbers.
        n: Images of the first, or captions.
        first: The model's number; None where either has none, as are all that follow.
        second: The baseline's.
        low: Lower bound of the difference's 95% interval.
        high: Upper bound.
        p: Two-sided p-value of no difference; None where the images are not the same.
        p_holm: The same, corrected for all tests that it was made with.
        real: Whether that is below 5%.
    """

    label: Label
    n: int = 0
    first: float | None = None
    second: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def real(self) -> bool | None:
        """Whether the corrected test separates the two at 5%; None where there is no test."""
        return None if self.p_holm is None else self.p_holm < LEVEL

    @property
    def value(self) -> float | None:
        """The difference."""
        return None if self.first is None or self.second is None else self.first - self.second


def deltas(pairs: Sequence[Pair]) -> list[Delta]:
    """Return the differences of pairs that are one family of tests, in the order given.

    Each is a mean over as many datasets as the others. On the same images a difference has a paired
    test and interval: McNemar's exact test where single answers to the images of one dataset are
    compared and each is right or wrong, else the score test of `bench.stats`. On others it has the
    interval of unpaired rates, and no test.
    """
    return [_times(delta, delta.label.first_metric.highest) for delta in _in_shares(pairs)]


def _in_shares(pairs: Sequence[Pair]) -> list[Delta]:
    """Return the differences of pairs in shares of the best score."""
    found = [_unpaired(pair) for pair in pairs]
    paired = [index for index, pair in enumerate(pairs) if pair.same_images]
    if not paired:
        return found
    counts = np.array([_counts(pairs[index]) for index in paired])  # [pairs, 3, datasets]
    table = (counts[:, 0], counts[:, 1], counts[:, 2])
    lows, highs = paired_interval(*table)
    score = paired_test(*table).tolist()
    exact = [_exact(pairs[index]) for index in paired]
    p_values = [p if e is None else e for p, e in zip(score, exact, strict=True)]
    rows = zip(paired, lows.tolist(), highs.tolist(), p_values, holm(p_values), strict=True)
    for index, low, high, p, p_holm in rows:
        found[index] = replace(found[index], low=low, high=high, p=p, p_holm=p_holm)
    return found


def _times(delta: Delta, best: float) -> Delta:
    numbers = {name: getattr(delta, name) for name in ("first", "second", "low", "high")}
    return replace(delta, **{name: value * best for name, value in numbers.items()})


def _unpaired(pair: Pair) -> Delta:
    first, second = _mean(pair.first), _mean(pair.second)
    n = sum(outcome.shares[0].size for outcome in pair.first)
    return Delta(pair.label, n, first.value, second.value, *difference(first, second))


def _mean(outcomes: Sequence[Outcome]) -> Interval:
    return mean_of([o.right for o in outcomes], [o.worth for o in outcomes])


def _counts(pair: Pair) -> NDArray[np.float64]:
    """Return by dataset `[3,k]` the images that either alone is right about, and all.

    They are means over the seeds of an attack. What captions say is brought to so many images, and
    what scores say to as many as they are worth.
    """
    columns = []
    for ours, theirs in zip(pair.first, pair.second, strict=True):
        seeds = []
        for a, b in zip(ours.shares, theirs.shares, strict=True):
            ahead, behind, one = apart(a, b)
            seeds.append([ahead / a.size / one, behind / a.size / one, 1 / one])
        columns.append(np.mean(seeds, 0) * ours.images)
    return np.array(columns, np.float64).T


def _exact(pair: Pair) -> float | None:
    """Return the p-value of McNemar's test where it can be made."""
    (ours, *others), theirs = pair.first, pair.second[0]
    if others or len(ours.shares) > 1 or ours.images != ours.shares[0].size:
        return None
    first, second = ours.shares[0], theirs.shares[0]
    if not first.dtype == second.dtype == np.bool_:
        return None
    return mcnemar(first.astype(np.bool_), second.astype(np.bool_))
