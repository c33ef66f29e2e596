"""Intervals and tests against scipy, closed forms and brute force."""

from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import binomtest, chi2, norm

from bench.stats import (
    LEVEL,
    Z95,
    Interval,
    benjamini_hochberg,
    design_effect,
    holm,
    mcnemar,
    mean_interval,
    mean_of,
    paired_interval,
    paired_leads,
    paired_test,
    ranks,
    unpaired_interval,
    wilson,
)


@pytest.mark.parametrize(
    ("k", "n"), [(0, 10), (3, 10), (10, 10), (512, 1000), (4, 64), (96, 100), (3, 50)]
)
def test_wilson_equals_scipy(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(1, 10), (2, 50), (1, 64), (2, 64), (3, 51), (3, 10_000)])
def test_of_few_images_wilsons_bound_is_poissons(k: int, n: int) -> None:
    """Brown, Cai and DasGupta 2001, section 4.1.1: the bounds that are changed, and no other."""
    plain = binomtest(k, n).proportion_ci(method="wilson")
    low = chi2.ppf(0.05, 2 * k) / 2 / n
    assert low < plain.low
    assert wilson(k, n) == pytest.approx((low, plain.high), rel=2e-4)
    assert wilson(n - k, n) == pytest.approx((1 - plain.high, 1 - low), rel=2e-4)
    found = mean_of([k], [n], anytime=False)
    assert (found.low, found.high) == pytest.approx(wilson(k, n), abs=1e-12)


def test_bounds_of_parts_of_images_grow_with_them() -> None:
    for n in (20, 50, 51, 500):
        low, high = np.array([wilson(count, n) for count in np.linspace(0, n, 20 * n + 1)]).T
        assert (np.diff(low) >= 0).all()
        assert (np.diff(high) >= 0).all()


def test_few_images_of_unequal_datasets_have_the_bound_of_fay_and_feuer() -> None:
    # one image of 40 and one of 80: weights 1/80 and 1/160, by hand 1.8 images of 1/96 each
    right, n = np.array([1, 1]), np.array([40, 80])
    weights = 1 / (2 * n)
    mean, variance = (weights * right).sum(), (weights**2 * right).sum()
    exact = variance / mean / 2 * chi2.ppf(0.05, 2 * mean**2 / variance)
    found = mean_of(right.tolist(), n.tolist(), anytime=False)
    assert found.low == pytest.approx(exact, rel=0.05)  # between the shapes that are tabulated
    assert mean / (variance / mean) == pytest.approx(1.8)


def test_the_mean_of_one_dataset_has_wilsons_interval() -> None:
    correct = np.array([[0], [1], [37], [99], [100], [2.5]])
    low, high = mean_interval(correct, [100])
    expected = [wilson(float(count), 100) for (count,) in correct]
    assert np.stack([low, high], 1) == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 1])
def test_equal_datasets_count_as_one_large_one(rate: float) -> None:
    found = mean_of([rate * 50] * 4, [50] * 4, anytime=False)
    expected = wilson(rate * 200, 200)
    assert (found.value, found.low, found.high) == pytest.approx((rate, *expected), abs=1e-12)


@pytest.mark.parametrize(
    ("correct", "n"), [((3, 40), (20, 50)), ((0, 30), (10, 40)), ((9, 500), (10, 1000))]
)
def test_the_score_test_just_rejects_the_bounds_of_a_mean(
    correct: tuple[int, int], n: tuple[int, int]
) -> None:
    right, images = np.array(correct), np.array(n)

    def distance(mean: float) -> float:
        """Standard errors from the observed mean, at the likeliest rates found by scipy."""

        def unlikely(first: float) -> float:
            p = np.array([first, 2 * mean - first]).clip(1e-12, 1 - 1e-12)
            return float(-(right * np.log(p) + (images - right) * np.log(1 - p)).sum())

        start, stop = max(0.0, 2 * mean - 1), min(1.0, 2 * mean)
        found = minimize(
            lambda x: unlikely(x[0]), [(start + stop) / 2], bounds=[(start, stop)], tol=1e-14
        ).x[0]
        p = np.array([found, 2 * mean - found])
        error = sqrt(float((p * (1 - p) / images).sum()) / 4)
        return float((right / images).mean() - mean) / error

    found = mean_of(correct, n, anytime=False)
    assert distance(found.low) == pytest.approx(Z95, abs=1e-3)
    assert distance(found.high) == pytest.approx(-Z95, abs=1e-3)


def test_a_mean_never_has_an_interval_of_zero_width() -> None:
    sizes = np.array([1, 10, 10_000, 1_000_000])
    for correct in (0 * sizes, sizes, sizes // 2, sizes * [0, 1, 0, 1]):
        low, high = mean_interval(correct, sizes)
        value = (correct / sizes).mean()
        assert 0 <= low <= value <= high <= 1
        assert high - low > 1e-7


def test_unpaired_difference() -> None:
    # Newcombe 1998, table II, 56 of 70 against 48 of 80: 0.0524 to 0.3339
    first, second = (Interval(k / n, *wilson(k, n)) for k, n in ((56, 70), (48, 80)))
    assert unpaired_interval(first, second) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 9), (9, 3), (0, 6), (400, 460), (1500, 1600)])
def test_mcnemar_equals_the_binomial_test(b: int, c: int) -> None:
    first = np.array([True] * b + [False] * c + [True, False] * 5)
    second = np.array([False] * b + [True] * c + [True, False] * 5)
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("b", "c", "n"), [(12, 4, 100), (9, 0, 40), (0, 9, 40), (0, 0, 50), (300, 250, 1000)]
)
def test_paired_interval_of_one_dataset_is_tangos(b: int, c: int, n: int) -> None:
    def score(delta: float) -> float:
        """Tango 1998, equation 5, with the closed form of its likeliest chance."""
        middle = (2 * n - b + c) * delta - b - c
        q = (sqrt(middle**2 + 8 * n * c * delta * (1 - delta)) - middle) / (4 * n)
        return (b - c - n * delta) / sqrt(n * (2 * q + delta * (1 - delta)))

    observed = (b - c) / n
    found_low, found_high = paired_interval([b], [c], [n])
    expected_low = brentq(lambda delta: score(delta) - Z95, -0.999, observed - 1e-9)
    expected_high = brentq(lambda delta: score(delta) + Z95, observed + 1e-9, 0.999)
    assert found_low == pytest.approx(expected_low, abs=1e-9)
    assert found_high == pytest.approx(expected_high, abs=1e-9)


def test_paired_interval_of_equal_datasets_is_that_of_one_large_one() -> None:
    low, high = paired_interval([6] * 5, [2] * 5, [80] * 5)
    assert low == pytest.approx(paired_interval([30], [10], [400])[0], abs=1e-9)
    assert high == pytest.approx(paired_interval([30], [10], [400])[1], abs=1e-9)


def test_paired_interval_turns_round_with_the_models() -> None:
    first, second, n = [5, 0, 31], [2, 7, 31], [40, 100, 900]
    low, high = paired_interval(first, second, n)
    assert np.subtract(paired_interval(second, first, n), (-high, -low)) == pytest.approx(0)
    assert low < (3 / 40 - 7 / 100) / 3 < high


def test_paired_test() -> None:
    # (|12 - 4| - 1) / sqrt(16), by hand; the datasets together are one of four times as many
    expected = 2 * norm.sf(7 / 4)
    assert paired_test([12], [4], [100]) == pytest.approx(expected, rel=1e-9)
    assert paired_test([3] * 4, [1] * 4, [50] * 4) == pytest.approx(expected, rel=1e-9)
    assert list(paired_test([[0, 0], [4, 9]], [[0, 0], [4, 9]], [50, 70])) == [1, 1]
    # three quarters of a point in the smaller set weigh as much as five images of the larger
    assert paired_test([2, 0], [0, 20], [100, 1000]) == 1


@pytest.mark.parametrize(("b", "c"), [(9, 2), (30, 15), (260, 210)])
def test_paired_test_is_near_the_exact_one(b: int, c: int) -> None:
    exact = binomtest(b, b + c).pvalue
    assert paired_test([b], [c], [1000]) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_benjamini_hochberg_equals_scipys(count: int) -> None:
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(count).random(count) ** 3
    assert benjamini_hochberg(p.tolist()) == pytest.approx(false_discovery_control(p))
    assert benjamini_hochberg([]) == []


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    # by hand: 0.01 * 4, 0.02 * 3, then the maximum so far
    assert holm([0.04, 0.01, 0.02, 0.9]) == pytest.approx([0.08, 0.04, 0.06, 0.9])
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.uniform(0, 0.4, 5)
        subsets = [list(s) for size in range(1, 6) for s in combinations(range(5), size)]
        closed = [max(min(1, len(s) * p[s].min()) for s in subsets if i in s) for i in range(5)]
        assert holm(p.tolist()) == pytest.approx(closed)


def wrong(count: int, n: int = 100, start: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return ~np.isin(np.arange(n), np.arange(start, start + count))


def test_ranks_tie_where_the_test_does_not_separate() -> None:
    assert ranks([[wrong(100)], [wrong(2)], [wrong(0)]]) == [3, 1, 1]


def test_ranks_are_of_the_mean_over_datasets() -> None:
    # the second model is right about more images, and less often on average over the datasets
    first = [wrong(20), wrong(200, 1000)]
    second = [wrong(60), wrong(120, 1000)]
    assert ranks([first, second]) == [1, 2]


def test_no_rank_is_better_than_that_of_a_higher_mean() -> None:
    # the last is separated from the first by nothing, and yet is worse than one that is
    first, second, third = wrong(0), wrong(12), wrong(13)
    assert ranks([[first], [second], [third]]) == [1, 2, 2]
    rng = np.random.default_rng(1)
    for _ in range(50):
        difficulty = rng.uniform(size=(2, 60))
        models = [
            list(difficulty < rng.uniform(0.3, 0.8) + rng.normal(0, 0.2, (2, 60))) for _ in range(6)
        ]
        means = [float(np.mean([part.mean() for part in model])) for model in models]
        found = ranks(models)
        assert min(found) == found[int(np.argmax(means))] == 1
        for one, other in combinations(range(6), 2):
            if means[one] > means[other] + 1e-9:
                assert found[one] <= found[other]
            elif abs(means[one] - means[other]) < 1e-9:
                assert found[one] == found[other]


def test_ranks_of_one_dataset_are_by_the_exact_test() -> None:
    first, second = wrong(4), wrong(13, start=50)
    assert mcnemar(first, second) < LEVEL < paired_test([13], [4], [100])
    assert ranks([[first], [second]]) == [1, 2]
    assert ranks([[first, wrong(0)], [second, wrong(0)]]) == [1, 1]


def test_a_single_model_is_first() -> None:
    assert ranks([[wrong(3), wrong(5)]]) == [1]


def test_right_and_wrong_answers_are_worth_themselves_to_the_last_bit() -> None:
    rng = np.random.default_rng(2)
    for n in (1, 2, 7, 60, 999):
        right = rng.uniform(size=(40, n)) < rng.uniform(size=(40, 1))
        assert (design_effect(right) == 1).all()
        assert (design_effect(right.astype(float)) == 1).all()
        ahead, behind, one = paired_leads(right, right[::-1])
        assert (one == 1).all()
        assert np.array_equal(ahead, (right & ~right[::-1]).sum(1))
        assert np.array_equal(behind, (right[::-1] & ~right).sum(1))


def test_scores_are_worth_the_answers_that_vary_as_little() -> None:
    scores = np.tile([0.2, 0.4, 0.6, 0.8], 5000)
    # variance 0.05, that of right and wrong answers with their mean 0.25
    assert design_effect(scores) == pytest.approx(0.2, rel=1e-3)
    n = len(scores) / float(design_effect(scores))
    low, high = wilson(0.5 * n, n)
    assert (low, high) == pytest.approx((0.5 - 0.0031, 0.5 + 0.0031), abs=5e-5)  # 1.96 s / sqrt(n)


def test_scores_without_any_spread_still_have_a_width() -> None:
    for same in (0.0, 0.3, 1.0):
        scores = np.full(50, same)
        n = len(scores) / float(design_effect(scores))
        low, high = wilson(same * n, n)
        assert 0 <= low <= same <= high <= 1
        assert high - low > 0.01


def test_no_unit_is_larger_than_one_or_nothing() -> None:
    rng = np.random.default_rng(4)
    for shape in (0.05, 0.5, 5):
        scores = rng.beta(shape, shape, (200, 13)).astype(np.float32)
        assert ((design_effect(scores) > 0) & (design_effect(scores) <= 1)).all()
        one = paired_leads(scores, scores[::-1])[2]
        assert ((one > 0) & (one <= 1)).all()


def test_the_test_of_scores_is_near_that_of_all_signs() -> None:
    """Where models are equal, every difference may as well have the other sign: all are tried."""
    rng = np.random.default_rng(3)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 16)).reshape(16, -1)
    some = rng.choice([-1, 1], (300, 20_000))
    for flips, shift in ((signs, 0.1), (signs, 0.3), (some, 0), (some, 0.02), (some, 0.04)):
        n = len(flips)
        first = np.round(rng.uniform(size=n) * 10 / 3) * 0.3
        second = np.clip(np.round((first + rng.normal(shift, 0.3, n)) * 10 / 3) * 0.3, 0, 1)
        between = first - second
        by_signs = (np.abs(between @ flips) >= abs(between.sum()) - 1e-9).mean()
        ahead, behind, one = paired_leads(first, second)
        found = float(paired_test([ahead / one], [behind / one], [n / one]))
        assert by_signs < found + 0.01  # careful, of few images most
        assert n == 16 or found < 1.2 * by_signs + 0.03


def test_ranks_of_scores() -> None:
    rng = np.random.default_rng(6)
    hard = rng.uniform(size=(2, 400))
    models = [[np.clip(part * 0.9 + by, 0, 1) for part in hard] for by in (0.0, 0.001, 0.1)]
    for model in models:
        model[1] = model[1] > 0.5  # a dataset of right and wrong answers beside one of scores
    assert ranks(models) == [2, 2, 1]
    assert ranks([[model[0]] for model in models]) == [2, 2, 1]
    right = [[model[1]] for model in models]
    assert ranks(right) == ranks([[part.astype(float) for part in model] for model in right])


def test_answers_about_one_image_are_worth_no_more_than_it() -> None:
    """Six answers apart, three of each image, are two images apart."""
    first, second = np.zeros(60, np.bool_), np.zeros(60, np.bool_)
    first[:6] = True
    assert ranks([[first], [second]]) == [1, 2]
    assert ranks([[first], [second]], [60]) == [1, 2]
    assert ranks([[first], [second]], [20]) == [1, 1]
