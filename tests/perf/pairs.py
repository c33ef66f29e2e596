"""Times of things that are compared: taken in turn, so that what else runs here meets all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from tests.perf.subjects import timed


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its 95% interval."""

    middle: float
    low: float
    high: float

    def text(self, form: str) -> str:
        """Return `middle (low to high)`, each in a format such as `.1%`."""
        return f"{self.middle:{form}} ({self.low:{form}} to {self.high:{form}})"


def in_turn(rounds: int, *works: Callable[[], object]) -> list[list[float]]:
    """Return the seconds of each piece of work in each round; a round before them warms up.

    Every other round goes through them backwards, so that none always comes first.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for turn in range(rounds):
        for place in range(len(works)) if turn % 2 == 0 else reversed(range(len(works))):
            seconds[place].append(timed(works[place]))
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the median ratio of the rounds."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def spread(values: Sequence[float]) -> Spread:
    """Return the median with its interval by order statistics, exact whatever the distribution.

    Fewer than six values have no such interval; it is then all that was seen.
    """
    ordered, count = sorted(values), len(values)
    cut = below = 0
    while 2 * (below + comb(count, cut)) <= 0.05 * 2**count:
        below += comb(count, cut)
        cut += 1
    place = max(cut - 1, 0)
    return Spread(median(ordered), ordered[place], ordered[count - 1 - place])
