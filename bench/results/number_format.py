"""Number formats of a suite's metrics: accuracies in percent, other scores as they are.

All numbers for readers are rounded here; the page has the same rounding in `data.js`.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from math import isnan

from bench.results.spreadsheet import DIGITS
from bench.suite.load import Suite
from bench.suite.metrics import Metric, metrics_of


@dataclass(frozen=True, slots=True)
class Scale:
    """A number format.

    Attributes:
        name: Name of the metric within a sentence.
        factor: Factor that a number is multiplied by.
        digits: Number of decimals.
        unit: Unit after the number; empty if there is none.
        range: Range of the numbers as a table states it.
    """

    name: str
    factor: float
    digits: int
    unit: str
    range: str

    @property
    def axis(self) -> str:
        """Axis label."""
        return self.of(self.name)

    @property
    def title(self) -> str:
        """Name of the metric with a capital letter."""
        return self.name[0].upper() + self.name[1:]

    def of(self, what: str) -> str:
        """Return an axis label with the unit: `worst (%)`."""
        return f"{what} ({self.unit})" if self.unit else what

    def text(self, value: float, sign: str = "") -> str:
        """Return the formatted number; with sign `+`, positive numbers have a sign too."""
        return decimal_text(value, self.digits, self.factor, sign)


def decimal_text(value: float, digits: int, factor: float = 1.0, sign: str = "") -> str:
    """Return a number times a factor, rounded to some decimals; ties go to the even digit.

    The number is first rounded to the significant digits of the CSV tables, and then as a decimal
    number. So whoever rounds a number of a table gets the same digits: 0.58749999 is 0.5875 there.

    Args:
        value: The number.
        digits: Number of decimals.
        factor: The factor.
        sign: `+` gives positive numbers a sign too.
    """
    return f"{Decimal(f'{value:.{DIGITS}g}') * Decimal(factor):{sign}.{digits}f}"


PERCENT = Scale("accuracy", 100.0, 1, "%", "in percent")


def scale_of(metric: Metric) -> Scale:
    """Return the number format of a metric."""
    if metric.highest == 1:
        return replace(PERCENT, name=metric.title)
    return Scale(metric.title, 1.0, 3, "", f"from 0 to {metric.highest:g}")


def scale_of_suite(suite: Suite) -> Scale:
    """Return the number format of a suite; all its datasets have one task."""
    return scale_of(metrics_of(suite.datasets[0])[0])


def sample_noun(suite: Suite) -> str:
    """Return the word for a scored sample: several questions may share an image."""
    counts = metrics_of(suite.datasets[0])[0].unit
    return "question" if counts == "questions" else "image"


def surviving_samples(suite: Suite) -> str:
    """Return what `worst` counts, for metrics of right-or-wrong answers."""
    samples = "answers" if sample_noun(suite) == "question" else "images"
    return f"{samples} that survive every attack"


def rounded(value: float) -> float:
    """Return a number rounded as in the CSV tables."""
    return float(f"{value:.{DIGITS}g}")


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal; a dash for None."""
    return shown(value, PERCENT)


def shown(value: float | None, scale: Scale) -> str:
    """Return a number formatted on its scale; a dash for None or NaN."""
    return "–" if value is None or isnan(value) else scale.text(value)
