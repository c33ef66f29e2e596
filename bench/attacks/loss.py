"""What a loss is: the protocol between the engine and what its attacks maximise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bench.attacks.ascent import State
from bench.core.types import Classifier

PerImage = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits [b,k], labels, targets [b] -> [b]


class Loss(Protocol):
    """A loss per image, which an attack maximises; it holds no state of its own.

    Losses of equal settings are equal: the engine runs restarts of equal attacks side by side.
    """

    @property
    def ranks(self) -> bool:
        """Whether its values say which of several points of an image is the strongest.

        Where they do not, because targets differ or because it knows no classes, the margin of the
        logits ranks the points.
        """
        ...

    def known(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return what the loss must know of clean images before their first step.

        Args:
            model: The attacked model.
            images: The clean images, `[b,3,h,w]`.
            seeds: One random seed per image.

        Returns:
            Tensors `[b, ...]`, a row per image, which the engine adds to the images' state; the
            names must be none of the engine's or the ascent's. Empty if nothing is needed.
        """
        ...

    def clean_logits(self, model: Classifier, known: State) -> Tensor | None:
        """Return the logits `[b,k]` of the clean images where `known` gives them, else None.

        They save the engine a forward pass; so this sends no images through the model.
        """
        ...

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits `[b,k]` and losses `[b]` at points `[b,3,h,w]`; differentiable.

        Args:
            model: The attacked model.
            points: Where to evaluate.
            state: The images' own rows, with `label` and `target` `[b]` (the classes that a
                targeted attack goes for, else the labels), `iteration` `[b]`, and what `known`
                returned. Where points are ranked there is no `iteration`.

        Returns:
            The logits say which images are broken: where the largest is not the label's. A model
            without logits returns anything finite `[b,1]`; its attacks run in mode `full`.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogitLoss:
    """A loss of the logits alone.

    Attributes:
        per_image: Returns the loss `[b]` of logits `[b,k]`, labels and targets `[b]`.
        ranks: See `Loss`.
    """

    per_image: PerImage
    ranks: bool = True

    def __call__(self, logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the loss `[b]` of logits `[b,k]`, given labels and targets `[b]`."""
        return self.per_image(logits, labels, targets)

    def known(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return nothing; see `Loss`."""
        return {}

    def clean_logits(self, model: Classifier, known: State) -> Tensor | None:
        """Return None; see `Loss`."""
        return None

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits and losses; see `Loss`."""
        logits = model(points)
        return logits, self.per_image(logits, state["label"], state["target"])
