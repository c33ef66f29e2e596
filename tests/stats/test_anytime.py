"""What confidence sequences promise, on few tables; `tests.stats.sequential` draws 2,000."""

import numpy as np
import pytest

from bench.stats import (
    LEVEL,
    anytime_interval,
    anytime_mean_interval,
    anytime_order,
    anytime_paired_interval,
    anytime_paired_test,
    common_images,
    ranks,
    undecided,
    wilson,
)
from bench.stats.anytime_pairs import chance_of_separation
from bench.stats.paired_tests import mcnemar_of_counts
from bench.stats.ranking import fixed_order
from tests.stats.ranked_tables import draw, found, race, random_rates, true_order
from tests.stats.sequential import lead_misses, rate_misses, stops

TABLES = 100
MOST = LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / TABLES)


def test_the_rate_is_inside_at_every_number_of_images() -> None:
    rng = np.random.default_rng(0)
    assert max(rate_misses(rate, TABLES, 400, rng) for rate in (0.05, 0.5, 0.9)) <= MOST
    assert rate_misses(0.3, TABLES, 400, rng, 400) <= MOST
    # an interval for a fixed number of images would not be
    counts = (rng.random((30, 600)) < 0.3).cumsum(1).tolist()
    missed = [
        any(not wilson(c, n)[0] <= 0.3 <= wilson(c, n)[1] for n, c in enumerate(row, 1))
        for row in counts
    ]
    assert np.mean(missed) > 0.2


@pytest.mark.parametrize("k", [1, 3])
def test_the_difference_is_inside_at_every_number_of_images(k: int) -> None:
    rng = np.random.default_rng(1)
    for some in ((0.3, 0.0), (0.1, 0.05)):
        assert lead_misses(*some, k, TABLES, 300, rng) <= MOST


def test_tables_settle_early_and_are_seldom_wrong() -> None:
    rng = np.random.default_rng(2)
    wrong, shares, power = [], [], []
    for _ in range(8):
        rates = random_rates(7, 3, 2, rng)
        outcomes, truth = draw(rates, 2000, rng), true_order(rates)
        each = race(outcomes)
        wrong.append(any(((order != 0) & (order != truth)).any() for order in each.orders))
        shares.append(np.mean(each.images) / 2000)
        power.append(found(each.orders[-1], truth) / found(fixed_order([*outcomes]), truth))
    assert sum(wrong) <= 2  # P(more) is 0.6% at a family-wise error of 5%
    assert np.mean(shares) < 0.5
    assert np.mean(power) > 0.95


def test_intervals_are_wide_enough_and_no_wider() -> None:
    for n in (256, 1000, 5000):
        for rate in (0.05, 0.5, 0.95):
            ours, fixed = anytime_interval(rate * n, n), wilson(rate * n, n)
            assert 1.5 < (ours[1] - ours[0]) / (fixed[1] - fixed[0]) < 1.75
    assert anytime_interval(0, 300)[0] == 0
    assert anytime_interval(0, 300)[1] < 0.03
    assert anytime_interval(300, 300)[0] == pytest.approx(1 - anytime_interval(0, 300)[1])


def test_a_mean_over_datasets_is_narrower_than_each() -> None:
    correct, n = [60, 300, 0], [300, 600, 256]
    low, high = anytime_mean_interval(correct, n)
    each = np.array([anytime_interval(*pair) for pair in zip(correct, n, strict=True)])
    assert low < np.mean([60 / 300, 0.5, 0]) < high
    assert high - low < (each[:, 1] - each[:, 0]).mean()
    many = anytime_mean_interval([[60], [300]], [[300], [600]])
    assert np.stack(many, 1) == pytest.approx(each[:2])


def test_test_and_interval_of_a_difference_agree() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random((2, 2, 500))
    first = [hard[0, 0] < 0.6, hard[1, 0][:400] < 0.5]
    for better in (0.0, 0.02, 0.05, 0.1):
        second = [hard[0, 0] < 0.6 - better, hard[1, 0] < 0.5 - better]
        wins, images = common_images([first, second])
        assert images[0, 1] == images[1, 0] == 800
        ahead, behind = wins[0, 1], wins[1, 0]
        rates = np.mean([[part[:400].mean() for part in model] for model in (first, second)], 1)
        assert (ahead - behind) / 800 == pytest.approx(rates[0] - rates[1])
        low, high = anytime_paired_interval(ahead, behind, 800)
        assert low <= rates[0] - rates[1] <= high
        apart = bool(anytime_paired_test(ahead, behind) < LEVEL)
        assert apart == (not low < 0 < high)
        assert ranks([first, second], anytime=True) == ([1, 2] if apart else [1, 1])


def test_extreme_rates_stop_first() -> None:
    rng = np.random.default_rng(4)
    few, half = (stops(rng.random((20, 1500)) < rate, 0.08, 100) for rate in (0.02, 0.5))
    assert few.max() < half.min() <= 1500


def test_the_chance_is_the_share_of_tables_that_separate() -> None:
    rng = np.random.default_rng(5)
    for ahead, behind in ((60, 45), (50, 50), (70, 40)):
        known = ahead + behind
        # the posterior of the first model's share of the images that one model alone gets right
        more = rng.binomial(3 * known, rng.beta(ahead + 1, behind + 1, 2000)).tolist()
        counts = [(ahead + extra, behind + 3 * known - extra) for extra in more]
        separated = np.mean([mcnemar_of_counts(*both) < 0.01 for both in counts])
        chance = float(chance_of_separation(ahead, behind, 0.25, 0.01))
        assert chance == pytest.approx(separated, abs=0.04)


def test_the_test_of_all_images_is_for_all_images_alone() -> None:
    rng = np.random.default_rng(6)
    shared = rng.random(400)
    models = [[shared < 0.5], [(shared + 0.1 * rng.random(400)) < 0.53], [shared < 0.05]]
    assert anytime_order(models).tolist() == anytime_order(models, 401).tolist()
    assert anytime_order(models)[0, 1] == 0
    assert anytime_order(models, 400)[0, 1] == fixed_order(models)[0, 1] != 0
    models[1] = [models[1][0][:399]]
    assert anytime_order(models, 400)[0, 1] == 0
    assert undecided(models, 400) == [1]
