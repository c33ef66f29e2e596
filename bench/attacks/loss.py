"""The interface of losses that attacks maximise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bench.attacks.ascent import State
from bench.core.types import Classifier

PerImage = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits [b,k], labels, targets [b] -> [b]


class Loss(Protocol):
    """A loss per image, which an attack maximises. It keeps no state of its own.

    Two losses with equal settings must compare equal, so that restarts share batches.
    """

    @property
    def ranks(self) -> bool:
        """Whether a larger loss means a stronger adversarial image, across runs.

        This is False if runs have different targets or if the loss ignores the classes. Points of
        several runs are then ranked by the margin of their logits.
        """
        ...

    def precompute(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Compute tensors from the clean images, before the first step.

        Args:
            model: The attacked model.
            images: The clean images, `[b,3,h,w]`.
            seeds: One random seed per image.

        Returns:
            Tensors `[b, ...]`, one row per image, which the engine adds to the images' state. The
            names must differ from those of the engine and the ascent. Empty if the loss needs
            nothing.
        """
        ...

    def clean_logits(self, model: Classifier, precomputed: State) -> Tensor | None:
        """Return the logits `[b,k]` of the clean images if `precomputed` has them, else None.

        They save the engine a forward pass, so this method must not run one.
        """
        ...

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits `[b,k]` and losses `[b]` at points `[b,3,h,w]`; differentiable.

        Args:
            model: The attacked model.
            points: Perturbed images in [0,1].
            state: The images' rows: `label` and `target` `[b]` (the target classes; the labels if
                untargeted), `iteration` `[b]`, and the tensors that `precompute` returned. When
                finished points are ranked there is no `iteration`.

        Returns:
            An image is broken if its largest logit is not that of its label. A model without
            logits returns any finite values `[b,1]`; its attacks run in mode `full`.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogitLoss:
    """A loss of the logits alone.

    Attributes:
        per_image: Maps logits `[b,k]`, labels `[b]` and targets `[b]` to losses `[b]`.
        ranks: See `Loss.ranks`.
    """

    per_image: PerImage
    ranks: bool = True

    def __call__(self, logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the losses `[b]` of logits `[b,k]`, given labels and targets `[b]`."""
        return self.per_image(logits, labels, targets)

    def precompute(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return an empty state; see `Loss`."""
        return {}

    def clean_logits(self, model: Classifier, precomputed: State) -> Tensor | None:
        """Return None; see `Loss`."""
        return None

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits and losses; see `Loss`."""
        logits = model(points)
        return logits, self.per_image(logits, state["label"], state["target"])
