"""Values of which the least recently used are dropped."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, of which the least recently used are dropped while they are too large.

    The value that was put last is always held, however large it is.
    """

    def __init__(self, most: float, size: Callable[[V], int]) -> None:
        """Start empty.

        Args:
            most: Largest sum of the sizes of all values.
            size: Returns the size of a value, in the unit of `most`.
        """
        self._most, self._size = most, size
        self._values: dict[K, V] = {}  # the least recently used first

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """Return the value of a key, which is now the most recently used; None if not held."""
        if key not in self._values:
            return None
        value = self._values[key] = self._values.pop(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Hold a value, and drop others until the rest fits."""
        self._values.pop(key, None)
        self._values[key] = value
        total = sum(map(self._size, self._values.values()))
        while total > self._most and len(self._values) > 1:
            oldest = next(iter(self._values))
            total -= self._size(self._values.pop(oldest))

    def clear(self) -> None:
        """Drop all values."""
        self._values.clear()
