"""What confidence sequences promise, on few tables; `tests.stats.sequential` draws 2,000."""

import numpy as np
import pytest

from bench.stats import (
    LEVEL,
    anytime_interval,
    anytime_mean_interval,
    anytime_paired_interval,
    anytime_paired_test,
    mean_leads,
    ranks,
    wilson,
)
from tests.stats.sequential import lead_misses, race, rate_misses, stops

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


def test_a_table_with_equal_models_is_seldom_wrong() -> None:
    rng = np.random.default_rng(2)
    found = [race(np.array([0.2, 0.2, 0.5, 0.5, 0.8]), 600, 100, rng) for _ in range(40)]
    assert np.mean([wrong for *_, wrong in found]) <= 0.15
    assert np.mean([share for _, share, _ in found]) > 0.9


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
        leads = mean_leads(first, second)
        assert len(leads) == 400
        low, high = anytime_paired_interval(leads)
        assert low <= leads.mean() <= high
        assert (anytime_paired_test(leads) < LEVEL) == (not low < 0 < high)
        apart = anytime_paired_test(leads) < LEVEL
        assert ranks([first, second], anytime=True) == ([1, 2] if apart else [1, 1])


def test_extreme_rates_stop_first() -> None:
    rng = np.random.default_rng(4)
    few, half = (stops(rng.random((20, 1500)) < rate, 0.08, 100) for rate in (0.02, 0.5))
    assert few.max() < half.min() <= 1500
