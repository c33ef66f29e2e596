"""What a run examines by itself once its cells are done: as much as a share of their time allows.

What is not reached is left for `run_bench.py check SUITE`, as a second run computes nothing.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.store.snapshot import Results
from bench.trust.reported_number import Number, Pair
from bench.trust.stored_findings import Examined, findings_and_todo

if TYPE_CHECKING:  # what a run may take is known without torch
    from bench.evaluate.model_cache import Warm

SHARE = 0.2  # of the seconds that the attacked cells of what is examined took
LEAST = 5.0  # seconds, so that small suites get something


def allowance(examined: Mapping[Pair, Examined], numbers: Mapping[Pair, Number]) -> float:
    """Return the seconds that may be spent on numbers, less what was spent on them before."""
    spent = sum(record.seconds for pair, record in examined.items() if pair in numbers)
    return max(LEAST, SHARE * sum(number.seconds for number in numbers.values()) - spent)


def examine_within(
    results: Results, numbers: Mapping[Pair, Number], warm: "Warm", seconds: float
) -> None:
    """Examine numbers until time is up, and keep what is found.

    Raises:
        StoreError: It cannot be written or read.
    """
    from bench.trust.examine import examine_pairs  # brings torch

    for _ in examine_pairs(results, numbers, warm, seconds=seconds):
        pass  # what cannot be examined is for `check` to tell


def unexamined_line(results: Results, within: str) -> str:
    """Say how many numbers were not wholly examined, and who does the rest; empty if none."""
    examined, numbers = findings_and_todo(results, deep=False)
    if not numbers:
        return ""
    of = len(examined.keys() | numbers.keys())
    begun = sum(1 for pair in numbers if pair in examined)
    part = f", {begun} in part," if begun else ""
    return (
        f"{of - len(numbers)} of {of} robust numbers examined{part} {within}; "
        "`run_bench.py check SUITE` does the rest"
    )
