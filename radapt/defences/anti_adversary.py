"""The anti-adversary layer (Alfarra et al. 2022, arXiv:2103.14347)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, ImageDefence, sign_of_gradient


@dataclass(frozen=True, slots=True)
class AntiAdversary(ImageDefence):
    """Lower the cross-entropy of the predicted class by sign steps, without projection.

    The defaults are the values of MotasemAlfarra/Combating-Adversaries-with-Anti-Adversaries for
    CIFAR-10. Changed pixels may leave [0,1], as there.

    Attributes:
        steps: Number of steps K; 0 for no change.
        step: Step size alpha in [0,1] pixels.
    """

    needs_classes: ClassVar[bool] = True

    steps: int = 2
    step: float = 0.15

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the changed images `[b,3,h,w]`."""
        with torch.no_grad():
            predicted = base.logits(images).argmax(dim=1)

        def loss(points: Tensor) -> Tensor:
            return F.cross_entropy(base.logits(points), predicted, reduction="none")

        for _ in range(self.steps):
            images = images - self.step * sign_of_gradient(loss, images)
        return images
