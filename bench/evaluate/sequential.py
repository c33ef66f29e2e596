"""Stops a cell when its number is precise enough."""

from collections.abc import Iterator

from bench.evaluate.tally import Tally
from bench.stats import anytime_interval


def until_narrow(parts: Iterator[Tally], width: float) -> Iterator[Tally]:
    """Yield the tallies of parts until the confidence sequence of the rate is narrow enough.

    Args:
        parts: Tallies of parts of the images; each is computed when it is asked for.
        width: Largest width that is narrow enough, as a fraction.
    """
    correct = n = 0
    for tally in parts:
        yield tally
        correct, n = correct + int(tally.correct.sum()), n + len(tally.correct)
        low, high = anytime_interval(correct, n)
        if high - low <= width:
            return
