import numpy as np
import pytest
from scipy.stats import binomtest

from bench.stats import holm, mcnemar, ranks, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (512, 1000), (1, 64)])
def test_wilson_equals_scipy(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 9), (9, 3), (0, 6), (400, 460), (1500, 1600)])
def test_mcnemar_equals_the_binomial_test(b: int, c: int) -> None:
    first = np.array([True] * b + [False] * c + [True, False] * 5)
    second = np.array([False] * b + [True] * c + [True, False] * 5)
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_holm() -> None:
    # by hand: 0.01 * 4, 0.02 * 3, then the maximum so far
    assert holm([0.04, 0.01, 0.02, 0.9]) == pytest.approx([0.08, 0.04, 0.06, 0.9])


def test_ranks_tie_where_the_test_does_not_separate() -> None:
    good = np.ones(100, bool)
    nearly = good.copy()
    nearly[:2] = False
    bad = np.zeros(100, bool)
    assert ranks([bad, nearly, good], [0.0, 0.98, 1.0]) == [3, 1, 1]
