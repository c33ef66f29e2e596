"""What the intervals and tests promise, on tables drawn at random with known rates.

Where a figure is said of a table, 2,000 are drawn; `docs/statistics.md` has the figures.
"""

import numpy as np
import pytest
from scipy.stats import binom

from bench.stats import (
    LEVEL,
    design_effect,
    holm,
    mean_interval,
    paired_interval,
    paired_test,
    ranks,
    wilson,
)
from bench.stats.effective_size import paired_leads

TABLES = 2000
MIDDLE = np.linspace(0.05, 0.95, 19)
OUTSIDE = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04])
OUTSIDE = np.concatenate([OUTSIDE, 1 - OUTSIDE])
SIZES = {
    "one": [500],
    "small": [50] * 4,
    "large": [1000] * 14,
    "unequal": [100, 1000, 250],
    "very unequal": [10_000, 100],
}
# three standard errors of a share of 5% among the tables drawn
SLACK = 3 * np.sqrt(LEVEL * (1 - LEVEL) / TABLES)

sizes = pytest.mark.parametrize("n", SIZES.values(), ids=SIZES)


def covers(low: np.ndarray, true: np.ndarray, high: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(((low <= true + 1e-12) & (true <= high + 1e-12)).mean())


def mean_coverage(rates: np.ndarray, n: list[int], rng: np.random.Generator) -> float:  # type: ignore[type-arg]
    """Share of tables whose interval holds the mean of their own rates `[k]` or `[tables,k]`."""
    rates = np.broadcast_to(rates, (TABLES, len(n)))
    low, high = mean_interval(rng.binomial(n, rates), n)
    return covers(low, rates.mean(1), high)


@sizes
def test_intervals_of_means_cover(n: list[int]) -> None:
    rng = np.random.default_rng(0)
    middle = [mean_coverage(np.array(rate), n, rng) for rate in MIDDLE]
    assert 0.93 <= np.mean(middle) <= 0.97
    outside = [mean_coverage(np.array(rate), n, rng) for rate in OUTSIDE]
    assert min(middle + outside) >= 0.9


@sizes
def test_intervals_of_means_cover_where_datasets_differ(n: list[int]) -> None:
    rng = np.random.default_rng(1)
    shapes = [(3 * rate, 3 * (1 - rate)) for rate in MIDDLE]
    found = [mean_coverage(rng.beta(*shape, (TABLES, len(n))), n, rng) for shape in shapes]
    assert 0.93 <= np.mean(found) <= 0.97
    assert min(found) >= 0.9


@sizes
def test_intervals_of_means_cover_where_few_images_are_right(n: list[int]) -> None:
    """From 0.01 to 30 right images in all, a rate of nearly nothing up."""
    rng = np.random.default_rng(8)
    rates = np.geomspace(0.01, 30, 24) / sum(n)
    assert min(mean_coverage(np.array(rate), n, rng) for rate in rates) >= 0.9
    only_one = np.eye(len(n))[0]
    assert min(mean_coverage(rate * only_one, n, rng) for rate in rates) >= 0.9


def cell_coverage(n: int, grid: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Chances, exactly, that the intervals hold the rates of a grid and those at their bounds.

    Coverage falls and rises at the bounds, so what it is beside them is the least there is.
    """
    counts = np.arange(n + 1)
    low, high = np.array([wilson(count, n) for count in counts]).T
    beside = [bound + step for bound in (low, high) for step in (-1e-9, 1e-9)]
    rates = np.concatenate([grid, *beside])
    rates = rates[(rates > 0) & (rates < 1)]
    holds = (low <= rates[:, None]) & (rates[:, None] <= high)
    return np.asarray((binom.pmf(counts, n, rates[:, None]) * holds).sum(1))


@pytest.mark.parametrize("n", [1, 2, 5, 20, 50, 51, 100, 500, 1000])
def test_intervals_of_cells_cover(n: int) -> None:
    assert cell_coverage(n, np.geomspace(1e-6, 0.5, 400)).min() >= 0.9
    if n >= 50:
        assert 0.93 <= cell_coverage(n, MIDDLE)[: len(MIDDLE)].mean() <= 0.97


def discordant(n: list[int], apart: float, spread: float, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """Draw tables of models that differ on a share of images, by `spread` of it per dataset.

    Returns:
        Images that the first alone is right about, those of the second, and the true differences.
    """
    delta = rng.uniform(-spread, spread, (TABLES, len(n))) * apart
    delta = delta - delta.mean(1, keepdims=True) if len(n) > 1 else 0 * delta
    delta = delta.clip(-apart, apart)
    first = rng.binomial(n, (apart + delta) / 2)
    second = rng.binomial(n - first, (apart - delta) / 2 / (1 - (apart + delta) / 2))
    return first, second, delta


APART = (0.003, 0.01, 0.03, 0.1, 0.3)


@sizes
@pytest.mark.parametrize("spread", [0, 0.8])
def test_equal_means_are_seldom_called_different(n: list[int], spread: float) -> None:
    rng = np.random.default_rng(3)
    found = []
    for apart in APART:
        first, second, delta = discordant(n, apart, spread, rng)
        called = paired_test(first, second, n) < LEVEL
        found.append(called[np.abs(delta.mean(1)) < 1e-9].mean())
    assert max(found) <= LEVEL + SLACK
    assert np.mean(found) <= LEVEL


@sizes
def test_intervals_of_paired_differences_cover(n: list[int]) -> None:
    rng = np.random.default_rng(4)
    for apart in (0.03, 0.1, 0.3):
        first, second, delta = discordant(n, apart, 0.8, rng)
        low, high = paired_interval(first, second, n)
        assert 0.93 <= covers(low, delta.mean(1), high) <= (1 if apart < 0.1 else 0.97)


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(5)
    n = [500] * 4
    first = rng.binomial(n, 0.06, (TABLES, 4))
    second = rng.binomial(n - first, 0.03 / 0.94)
    assert (paired_test(first, second, n) < LEVEL).mean() > 0.95  # three points, 90 images to 60


def test_equal_models_are_seldom_ranked_apart() -> None:
    rng = np.random.default_rng(6)
    apart = 0
    for _ in range(400):
        hard = rng.uniform(0.2, 0.8, (3, 100))
        apart += max(ranks([list(rng.uniform(size=(3, 100)) < hard) for _ in range(5)])) > 1
    assert apart / 400 <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 400)


def test_holm_over_a_table_of_equal_models() -> None:
    rng = np.random.default_rng(7)
    first, second, _ = discordant([300] * 3, 0.1, 0, rng)
    p_values = paired_test(first, second, [300] * 3).reshape(-1, 10)
    wrongly = [min(holm(row.tolist())) < LEVEL for row in p_values]
    assert np.mean(wrongly) <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / len(wrongly))


# VQA accuracies in percent of the questions: the five values that it has, by how many there are
AGREED = np.array([0, 0.3, 0.6, 0.9, 1])
VQA = {
    "clean": [20, 6, 8, 10, 56],
    "half": [40, 8, 8, 6, 38],
    "attacked": [85, 4, 3, 2, 6],
    "nothing left": [96, 1.5, 0.8, 0.5, 1.2],
    "hardly one": [99, 0.5, 0.2, 0.1, 0.2],
    "small ones": [98, 1.9, 0, 0, 0.1],
    "nearly all": [1, 1, 1, 3, 94],
    "one wrong in 100": [1, 0, 0, 6, 93],
    "one value": [0, 2, 96, 2, 0],
}
# CIDEr-D: mean and shape of a gamma distribution, and the share of captions without any
CIDER = {
    "clean": (1.1, 1.8, 0.02),
    "Flickr": (0.8, 1.3, 0.05),
    "attacked": (0.15, 0.6, 0.4),
    "nothing left": (0.08, 0.4, 0.6),
    "hardly one": (0.1, 0.3, 0.9),
}


def vqa(kind: list[float], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    return rng.choice(AGREED, shape, p=np.array(kind) / 100)


def cider(  # type: ignore[no-untyped-def]
    kind: tuple[float, float, float], shape: tuple[int, ...], rng: np.random.Generator, hard=None
):
    """Draw shares of ten; `hard` is how much of a caption all models say."""
    mean, form, none = kind
    some = rng.gamma(form / 2, 1, shape) + (rng.gamma(form / 2, 1, shape) if hard is None else hard)
    return np.minimum(mean / form * some / 10, 1) * (rng.uniform(size=shape) >= none)


def graded_coverage(scores: np.ndarray, true: float) -> float:  # type: ignore[type-arg]
    worth = scores.shape[1] / design_effect(scores)
    low, high = mean_interval((scores.mean(1) * worth)[:, None], worth[:, None])
    return covers(low, np.array(true), high)


graded_sizes = pytest.mark.parametrize("n", [100, 500, 1000])


@graded_sizes
def test_intervals_of_graded_scores_cover(n: int) -> None:
    rng = np.random.default_rng(9)
    found = {
        name: graded_coverage(vqa(kind, (TABLES, n), rng), float(AGREED @ kind) / 100)
        for name, kind in VQA.items()
    }
    for name, kind in CIDER.items():
        true = cider(kind, (4_000_000,), rng).mean()
        found[f"CIDEr, {name}"] = graded_coverage(cider(kind, (TABLES, n), rng), true)
    assert min(found.values()) >= 0.9, found
    if n >= 500:
        assert 0.94 <= np.mean([*found.values()]) <= 0.97, found


def graded_p(first: np.ndarray, second: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Return p-values of models with scores `[tables,n]` on one dataset."""
    ahead, behind, one = paired_leads(first, second)
    counts = (ahead / one, behind / one, first.shape[1] / one)
    return np.asarray(paired_test(*[count[:, None] for count in counts]))


@graded_sizes
def test_equal_graded_models_are_seldom_called_different(n: int) -> None:
    rng = np.random.default_rng(10)
    pairs = [
        *((kind, kind) for kind in VQA.values()),
        ([0, 0, 100, 0, 0], [40, 0, 0, 0, 60]),  # equal means of other spreads
        ([90, 10, 0, 0, 0], [97, 0, 0, 0, 3]),
        ([98, 2, 0, 0, 0], [99.4, 0, 0, 0, 0.6]),
    ]
    found = [
        (graded_p(vqa(one, (TABLES, n), rng), vqa(other, (TABLES, n), rng)) < LEVEL).mean()
        for one, other in pairs
    ]
    for kind in CIDER.values():
        hard = rng.gamma(kind[1] / 2, 1, (TABLES, n))
        first, second = (cider(kind, (TABLES, n), rng, hard) for _ in range(2))
        found.append((graded_p(first, second) < LEVEL).mean())
    assert max(found) <= LEVEL + SLACK, found
    assert np.mean(found) <= LEVEL


def test_equal_means_of_unlike_metrics_are_seldom_called_different() -> None:
    """Better where answers are graded and worse where they are right or wrong, by as much."""
    rng = np.random.default_rng(11)
    for by in (0.0, 0.1):
        counts = []
        for n, better, worse in ((500, by, 0.0), (300, 0.0, by)):
            shape, right = (TABLES, n), len(counts) == 1
            drawn = [rng.choice(AGREED, shape, p=[0.4 - d, 0.1, 0.1, 0.1, 0.3 + d])
                     if not right else rng.uniform(size=shape) < 0.5 + d
                     for d in (better, worse)]  # fmt: skip
            ahead, behind, one = paired_leads(*drawn)
            counts.append([ahead / one, behind / one, n / one])
        called = paired_test(*np.stack(counts, -1)) < LEVEL
        assert called.mean() <= LEVEL + SLACK


def test_a_real_difference_of_scores_is_found() -> None:
    rng = np.random.default_rng(12)
    hard = rng.gamma(0.9, 1, (TABLES, 500))
    first, second = (cider(CIDER["clean"], (TABLES, 500), rng, hard) for _ in range(2))
    assert (graded_p(first, 0.85 * second) < LEVEL).mean() > 0.8  # of CIDEr-D 1.1, 0.165
