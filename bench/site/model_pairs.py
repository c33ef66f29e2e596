"""Paired tests between the models of a suite, at most as many as a page can hold."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt

from bench.compare.differences import Difference
from bench.compare.paired import between_models
from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.types import WORST
from bench.site.board_lines import Line
from bench.site.found_results import FoundResults

MOST_TESTS = 20_000  # of a site: about 1 MB in its page


@dataclass(frozen=True, slots=True)
class PairedTests:
    """The tests of two models on the images of one suite.

    Attributes:
        first: Name of a model.
        second: Name of another model.
        differences: Differences of the first number and the second, with a test.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]


def tests_of(found: FoundResults, lines: Sequence[Line], most: int) -> list[PairedTests]:
    """Return the tests between the models of a suite; empty without results per image.

    If there are too many, the models that stand first in the leaderboard are compared.

    Args:
        found: Results of the suite.
        lines: The lines of its leaderboard.
        most: Number of tests that may be returned.
    """
    if found.open is None or found.suite is None:
        return []
    try:
        results = found.open()
    except (LookupError, ValueError, RecursionError) as error:  # a suite that others wrote
        raise UserError(f"{found.path}: its suite cannot be read ({error!r})") from error
    numbers: Counter[str] = Counter()
    for line in lines:
        numbers[line.model] += len(line.rates)
    # per pair at most all numbers of one model; n (n - 1) / 2 pairs of n models
    pairs = max(0, most) // max(1, *numbers.values())
    chosen = list(numbers)[: (1 + isqrt(1 + 8 * pairs)) // 2]
    return [
        PairedTests(first, second, differences)
        for first, second, tables in between_models(found.suite, results, chosen)
        if (differences := tuple(_tested((*tables.means, *tables.per_dataset))))
    ]


def column_of(item: Difference) -> str:
    """Return the column of the leaderboard that has the numbers of a difference."""
    label = item.label
    if label.attack == WORST:
        return WORST
    name = f"{label.attack}@{label.eps}" if label.eps else label.attack
    return label.first_metric.column(name)


def dataset_of(found: FoundResults, item: Difference) -> str:
    """Return the dataset of a difference as in `Line`: the mean over a single one is that one."""
    assert found.suite is not None
    if item.label.dataset != MEAN:
        return item.label.dataset
    names = [dataset.name for dataset in found.suite.datasets]
    return names[0] if len(names) == 1 else ""


def _tested(items: Sequence[Difference]) -> Iterator[Difference]:
    seen = set()
    for item in items:
        key = (item.label.threat, item.label.source, column_of(item), item.label.dataset)
        if item.p_holm is not None and key not in seen:
            seen.add(key)
            yield item
