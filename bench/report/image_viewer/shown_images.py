"""What there is to see of a cell's images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.types import CellResult
from bench.plan.cells import Cell

Pixels = NDArray[np.uint8]  # [h,w,3]
Verdict = Literal["broken", "stands", "wrong"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of an image.

    Attributes:
        name: Of the class.
        confidence: Its softmax in [0,1].
        right: Whether it is the true class, which another may share its name with.
    """

    name: str
    confidence: float
    right: bool


@dataclass(frozen=True, slots=True)
class Attacked:
    """What became of an image under an attack.

    Attributes:
        pixels: The adversarial image, rounded to 8 bits.
        difference: What was added, amplified by `factor`, around grey.
        factor: What stretches it over the whole range; 0 where nothing was added.
        norm: Of what was added, in [0,1] pixels, in the budget's norm.
        prediction: Of the adversarial image as it is, not rounded.
    """

    pixels: Pixels
    difference: Pixels
    factor: float
    norm: float
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Seen:
    """One image.

    Attributes:
        sample_id: What it is called.
        truth: Its class.
        pixels: The clean image.
        prediction: Of the clean image.
        attacked: What became of it; None in a clean cell.
        stored: Whether the cell's result has it as right.
    """

    sample_id: str
    truth: str
    pixels: Pixels
    prediction: Prediction
    attacked: Attacked | None
    stored: bool

    @property
    def right(self) -> bool:
        """Whether what the cell is about is predicted right: under the attack, if there is one."""
        return (self.attacked or self).prediction.right

    @property
    def verdict(self) -> Verdict:
        """Whether the attack broke it, it stands, or it was wrong without an attack."""
        if self.right:
            return "stands"
        return "broken" if self.prediction.right else "wrong"


@dataclass(frozen=True, slots=True)
class Shown:
    """Some images of a cell.

    Attributes:
        cell: The cell.
        result: What was measured, on all of its images.
        images: Those that are shown.
        read: Whether their adversarial images were read from the store; else the attack ran again.
    """

    cell: Cell
    result: CellResult
    images: tuple[Seen, ...]
    read: bool
