"""The examination at the end of a run, within a share of the time that the run took.

`run_bench.py check SUITE` does what is left over, since a second run computes nothing.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING

from bench.core.program import PROGRAM
from bench.store.snapshot import Results
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined
from bench.trust.reported_number import Number, Pair
from bench.trust.stored_findings import findings_and_todo

if TYPE_CHECKING:  # the allowance is computed without torch
    from bench.evaluate.model_cache import ModelCache

SHARE = 0.2  # of the seconds that the attacked cells of the numbers took
LEAST = 5.0  # seconds, so that small suites get some checks


def allowance(examined: Mapping[Pair, Examined], numbers: Mapping[Pair, Number]) -> float:
    """Return the seconds left for examining numbers, after what was spent on them before."""
    spent = sum(record.seconds for pair, record in examined.items() if pair in numbers)
    return max(LEAST, SHARE * sum(number.seconds() for number in numbers.values()) - spent)


def examine_within(
    results: Results,
    examined: Mapping[Pair, Examined],
    numbers: Mapping[Pair, Number],
    cache: "ModelCache",
    seconds: float,
    tell: Callable[[str, str, str, int, int], object],
) -> None:
    """Examine numbers until the time is up, and store the findings.

    Args:
        results: Stored results of the suite.
        examined: Findings of earlier examinations.
        numbers: Numbers to examine, by model and dataset.
        cache: The suite's models and images.
        seconds: The time.
        tell: Called before each check with the model, the dataset, the check, the number of checks
            that were done, and the number of all checks.

    Raises:
        StoreError: Findings cannot be written or read.
    """
    from bench.trust.examine import examine_pairs  # imports torch

    none = len(EXPLANATIONS)
    of = sum(examined[pair].not_done if pair in examined else none for pair in numbers)
    done = count()

    def begin(pair: Pair, check: str) -> None:
        tell(*pair, check, next(done), of)

    for _ in examine_pairs(results, numbers, cache, seconds=seconds, begin=begin):
        pass  # `check` prints what cannot be examined


def unexamined_line(results: Results, within: str) -> str:
    """Return a sentence on how many numbers are not fully examined; empty if none."""
    examined, numbers = findings_and_todo(results, deep=False)
    if not numbers:
        return ""
    of = len(examined.keys() | numbers.keys())
    begun = sum(1 for pair in numbers if pair in examined)
    part = f", {begun} partly," if begun else ""
    return (
        f"{of - len(numbers)} of {of} robust numbers fully examined{part} {within}; "
        f"`{PROGRAM} check SUITE` examines the rest"
    )
