"""How much of which accelerator is free."""

from collections.abc import Collection, Sequence

_DIGITS = 4  # to which Ray keeps shares


class Room:
    """Accelerators, or processors where there are none, on the nodes of a cluster.

    A share is on one accelerator, as Ray has it: two thirds of each of two are no room for
    another two thirds.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        """Take, for each accelerator, the node that it is on; all are free."""
        self._nodes = list(nodes)
        self._free = [1.0] * len(nodes)

    def find(self, share: float) -> int | None:
        """Return the accelerator that fits a share most tightly, as Ray would choose."""
        fits = [place for place, free in enumerate(self._free) if free >= share]
        return min(fits, key=lambda place: self._free[place], default=None)

    def take(self, place: int, share: float) -> None:
        """Book a share; a negative one is given back."""
        self._free[place] = round(self._free[place] - share, _DIGITS)

    def node(self, place: int) -> str:
        """Return the node that an accelerator is on."""
        return self._nodes[place]

    def close(self, alive: Collection[str]) -> None:
        """Let nothing be booked on nodes that are not alive."""
        for place, node in enumerate(self._nodes):
            if node not in alive:
                self._free[place] = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether no accelerator is left."""
        return all(free == float("-inf") for free in self._free)


def rounded(share: float) -> float:
    """Return a share as Ray keeps it, never nothing."""
    return max(round(share, _DIGITS), 10.0**-_DIGITS)
