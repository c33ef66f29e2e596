"""How the numbers of a suite are written: rates in percent, others as they are; and of what."""

from dataclasses import dataclass, replace

from bench.suite.load import Suite
from bench.suite.metrics import Metric, metrics_of


@dataclass(frozen=True, slots=True)
class Scale:
    """A way of writing numbers.

    Attributes:
        name: What they are, within a sentence.
        factor: What a number is multiplied by.
        digits: How many follow the point.
        unit: What stands behind it; empty where nothing does.
        range: What a table says of its numbers.
    """

    name: str
    factor: float
    digits: int
    unit: str
    range: str

    @property
    def axis(self) -> str:
        """What an axis of them is called."""
        return self.of(self.name)

    @property
    def title(self) -> str:
        """What they are, at the beginning of a sentence."""
        return self.name[0].upper() + self.name[1:]

    def of(self, what: str) -> str:
        """Return what an axis of some of them is called: `worst (%)`."""
        return f"{what} ({self.unit})" if self.unit else what

    def text(self, value: float, sign: str = "") -> str:
        """Return a number as it is written; with `+` as sign, of positive ones too."""
        return f"{self.factor * value:{sign}.{self.digits}f}"


PERCENT = Scale("accuracy", 100.0, 1, "%", "in percent")


def scale_of(metric: Metric) -> Scale:
    """Return how numbers of a metric are written."""
    if metric.highest == 1:
        return replace(PERCENT, name=metric.title)
    return Scale(metric.title, 1.0, 3, "", f"from 0 to {metric.highest:g}")


def scale_of_suite(suite: Suite) -> Scale:
    """Return how the numbers of a suite are written; its datasets are of one task."""
    return scale_of(metrics_of(suite.datasets[0])[0])


def sample_of(suite: Suite) -> str:
    """Return what a number is a mean over, in one word: several questions may share an image."""
    counts = metrics_of(suite.datasets[0])[0].unit
    return "question" if counts == "questions" else "image"


def surviving(suite: Suite) -> str:
    """Return what the worst case counts where it counts right ones."""
    kept = "answers" if sample_of(suite) == "question" else "images"
    return f"{kept} that survive every attack"
