"""The size of a campaign: full, for a GPU, or small, which finds typing errors on any machine."""

from dataclasses import dataclass
from typing import cast

from bench.models.zero_shot import ZeroShotClassifier
from tests.perf.subjects import Subject, embedded, true_size

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of all parts.

    Attributes:
        small: Whether an embedded model stands for ViT-L/14, and a tiny model for 7B parameters.
        side: Rows of the square matrices whose product gives the chip's rate.
        batch: Images of an attack whose time or memory is measured.
        steps: Steps of that attack.
        rounds: Repetitions of what is timed.
        images: Images of compared attacks.
        iterations: Steps of compared attacks.
    """

    small: bool
    side: int
    batch: int
    steps: int
    rounds: int
    images: int
    iterations: int

    def subject(self, count: int) -> Subject:
        """Return ViT-L/14 with random weights, or an embedded model, with images."""
        return embedded("CLIP", count) if self.small else true_size(count, "ViT-L-14")


FULL = Scale(False, side=8192, batch=64, steps=4, rounds=3, images=32, iterations=100)
SMALL = Scale(True, side=32, batch=4, steps=2, rounds=1, images=4, iterations=1)


def classifier(subject: Subject) -> ZeroShotClassifier:
    """Return a subject's model with its parts."""
    assert isinstance(subject.model, ZeroShotClassifier)
    return cast(ZeroShotClassifier, subject.model)
