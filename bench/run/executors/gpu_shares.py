"""Free fractions of the accelerators of a cluster."""

from collections.abc import Collection, Sequence

_DIGITS = 4  # decimals of a share in Ray


class GpuShares:
    """The accelerators of a cluster (its processors if it has none), and their free fractions.

    A share is a fraction of one accelerator, as in Ray: a third free on each of two accelerators
    is not enough for a share of two thirds.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        """Start with all accelerators free; `nodes` has the node id of each accelerator."""
        self._nodes = list(nodes)
        self._free = [1.0] * len(nodes)
        # accelerators by their free fraction: few fractions occur, also where there are thousands
        self._with = {1.0: set(range(len(nodes)))}

    def find(self, share: float) -> int | None:
        """Return the index of the fullest accelerator with room for a share, as Ray chooses."""
        least = min(
            (free for free, found in self._with.items() if found and free >= share), default=None
        )
        return None if least is None else min(self._with[least])

    def take(self, index: int, share: float) -> None:
        """Reserve a share of an accelerator; a negative share is released."""
        self._set(index, round(self._free[index] - share, _DIGITS))

    def node(self, index: int) -> str:
        """Return the node id of an accelerator."""
        return self._nodes[index]

    def beside(self, index: int, share: float) -> int:
        """Return how many workers with a share fit on the node of an accelerator."""
        return self._nodes.count(self._nodes[index]) * int(1 / share)

    def close(self, alive: Collection[str]) -> None:
        """Allow no reservations on nodes that are not in `alive`."""
        for index, node in enumerate(self._nodes):
            if node not in alive:
                self._set(index, float("-inf"))

    def _set(self, index: int, free: float) -> None:
        self._with[self._free[index]].discard(index)
        self._with.setdefault(free, set()).add(index)
        self._free[index] = free

    @property
    def closed(self) -> bool:
        """Whether no accelerator is on a node that is alive."""
        return all(free == float("-inf") for free in self._free)


def rounded(share: float) -> float:
    """Return a share rounded to Ray's decimals, and never 0."""
    return max(round(share, _DIGITS), 10.0**-_DIGITS)
