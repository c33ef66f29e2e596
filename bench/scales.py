"""How the numbers of a metric are written: rates in percent, others as they are."""

from dataclasses import dataclass

from bench.metrics import highest


@dataclass(frozen=True, slots=True)
class Scale:
    """A way of writing numbers.

    Attributes:
        factor: What a number is multiplied by.
        digits: How many follow the point.
        unit: What stands behind it; empty where nothing does.
        named: What a table says that its numbers are.
    """

    factor: float
    digits: int
    unit: str
    named: str

    def text(self, value: float, sign: str = "") -> str:
        """Return a number as it is written; with `+` as sign, of positive ones too."""
        return f"{self.factor * value:{sign}.{self.digits}f}"


_PERCENT = Scale(100.0, 1, "%", "accuracy in percent")
_CIDER = Scale(1.0, 3, "", "CIDEr-D from 0 to 10")


def scale_of(metric: str) -> Scale:
    """Return how numbers of a metric are written."""
    return _PERCENT if highest(metric) == 1 else _CIDER
