"""The images of a cell with predictions and outcomes, as the page shows them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.types import CellResult
from bench.plan.cells import Cell

RgbPixels = NDArray[np.uint8]  # [h,w,3]
ImageOutcome = Literal["broken", "robust", "wrong"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A classifier's prediction for an image.

    Attributes:
        name: Name of the predicted class.
        confidence: Softmax probability of the class, in [0,1].
        right: Whether the class is the true class; two classes may have the same name.
    """

    name: str
    confidence: float
    right: bool


@dataclass(frozen=True, slots=True)
class AdversarialImage:
    """An adversarial image and its perturbation.

    Attributes:
        pixels: The adversarial image, rounded to 8 bits.
        difference: The perturbation times `factor`, around grey.
        factor: Factor that makes the largest entry 0.5; 0 if the perturbation is zero.
        norm: Norm of the perturbation in [0,1] pixels, in the budget's norm.
        prediction: Prediction for the adversarial image before rounding.
    """

    pixels: RgbPixels
    difference: RgbPixels
    factor: float
    norm: float
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image of a cell.

    Attributes:
        sample_id: Id of the image.
        truth: Name of the true class.
        pixels: The clean image.
        prediction: Prediction for the clean image.
        attacked: The adversarial image; None in a clean cell.
        stored: Whether the image is right in the stored result.
    """

    sample_id: str
    truth: str
    pixels: RgbPixels
    prediction: Prediction
    attacked: AdversarialImage | None
    stored: bool

    @property
    def right(self) -> bool:
        """Whether the prediction is right: under the attack if the cell has an attack."""
        return (self.attacked or self).prediction.right

    @property
    def outcome(self) -> ImageOutcome:
        """`robust` if the image is right, `broken` if only without attack, else `wrong`."""
        if self.right:
            return "robust"
        return "broken" if self.prediction.right else "wrong"


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell with the images to show.

    Attributes:
        cell: The cell.
        result: The stored result, over all images of the cell.
        images: The images to show.
        from_store: Whether adversarial images were read from the store; else the attack ran again.
    """

    cell: Cell
    result: CellResult
    images: tuple[ShownImage, ...]
    from_store: bool
