"""Paired tests between the models of a site, at most as many as a page can hold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import isqrt

from bench.compare.between_suites import between_suites
from bench.compare.differences import ComparisonLabel, Difference
from bench.compare.numbers_by_row import SuiteNumbers, suite_numbers
from bench.compare.paired import ComparisonTables, between_models
from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.types import WORST
from bench.site.board_lines import Line
from bench.site.found_results import FoundResults

MOST_TESTS = 20_000  # of a site: about 1 MB in its page


@dataclass(frozen=True, slots=True)
class PairedTests:
    """The tests of two models, in one suite or in two suites.

    Attributes:
        places: Indices of the results with the first and with the second model.
        first: Name of a model.
        second: Name of another model.
        differences: Differences of the first number and the second, with a test. Of two suites,
            also those without a test, with the reason in their label.
    """

    places: tuple[int, int]
    first: str
    second: str
    differences: tuple[Difference, ...]


def all_tests(
    results: Sequence[FoundResults], lines: Sequence[Sequence[Line]], most: int = MOST_TESTS
) -> Iterator[PairedTests]:
    """Yield the tests between models of a suite, then between models that no suite scores both.

    If there are too many, the models that stand first in the leaderboards are compared.

    Args:
        results: All results; those without results per image have no tests.
        lines: The lines of their leaderboards.
        most: Number of tests that may be returned.

    Raises:
        UserError: A suite that others wrote cannot be read.
    """
    numbers = [_numbers(found) for found in results]
    sizes = [_sizes(each) for each in lines]
    for place, (own, of_models) in enumerate(zip(numbers, sizes, strict=True)):
        if own is not None:
            for first, second, tables in between_models(own, _first(of_models, most)):
                if found := _once(item for item in _all(tables) if item.p_holm is not None):
                    most -= len(found)
                    yield PairedTests((place, place), first, second, found)
    together = {frozenset(pair) for of in sizes for pair in combinations(of, 2)}
    for one, other in combinations(range(len(results)), 2):
        ours, theirs = numbers[one], numbers[other]
        if ours is None or theirs is None:
            continue
        apart = (pair for pair in product(sizes[one], sizes[other])
                 if pair[0] != pair[1] and frozenset(pair) not in together)  # fmt: skip
        pairs = [*islice(apart, max(0, most) // max(1, *sizes[one].values()))]
        for (first, second), tables in zip(pairs, between_suites(ours, theirs, pairs), strict=True):
            found = _once(
                item for item in _all(tables) if item.p_holm is not None or item.label.differs
            )
            most -= max(1, len(found))  # also two models with no number in common need a place
            yield PairedTests((one, other), first, second, found)


def column_of(label: ComparisonLabel) -> str:
    """Return the column of the leaderboard that has the numbers of a difference."""
    if label.attack == WORST:
        return WORST
    name = f"{label.attack}@{label.eps}" if label.eps else label.attack
    return label.first_metric.column(name)


def dataset_of(found: FoundResults, label: ComparisonLabel) -> str:
    """Return the dataset of a difference as in `Line`: the mean over a single one is that one."""
    assert found.suite is not None
    if label.dataset != MEAN:
        return label.dataset
    names = [dataset.name for dataset in found.suite.datasets]
    return names[0] if len(names) == 1 else ""


def _numbers(found: FoundResults) -> SuiteNumbers | None:
    """Return the numbers of results; None if they have no results per image."""
    if found.open is None or found.suite is None:
        return None
    try:
        return suite_numbers(found.suite, found.open())
    except (LookupError, ValueError, RecursionError) as error:  # a suite that others wrote
        raise UserError(f"{found.path}: its suite cannot be read ({error!r})") from error


def _sizes(lines: Iterable[Line]) -> Counter[str]:
    """Return how many numbers a leaderboard has of each model, in its order."""
    numbers: Counter[str] = Counter()
    for line in lines:
        numbers[line.model] += len(line.rates)
    return numbers


def _first(sizes: Counter[str], most: int) -> list[str]:
    """Return the first models of a leaderboard, of which all pairs have at most so many tests."""
    # per pair at most all numbers of one model; n (n - 1) / 2 pairs of n models
    pairs = max(0, most) // max(1, *sizes.values())
    return list(sizes)[: (1 + isqrt(1 + 8 * pairs)) // 2]


def _all(tables: ComparisonTables) -> tuple[Difference, ...]:
    return (*tables.means, *tables.per_dataset)


def _once(items: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return the first difference of each number of the leaderboard."""
    found: dict[tuple[str, ...], Difference] = {}
    for item in items:
        label = item.label
        key = (label.threat, label.source, column_of(label), label.dataset)
        found.setdefault(key, item)
    return tuple(found.values())
