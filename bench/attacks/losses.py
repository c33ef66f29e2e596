"""Per-image losses that an attack maximises."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits `[b,k]` and labels `[b]`, per image."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(kappa: float) -> Loss:
    """Return Carlini and Wagner's margin (2017, arXiv:1608.04644, f6), to be maximised.

    The largest other logit minus the true one, capped at `kappa`: past that the gradient
    is zero and the image stays where it is.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        true = logits.gather(1, labels[:, None]).squeeze(1)
        others = logits.scatter(1, labels[:, None], -torch.inf)
        return (others.amax(dim=1) - true).clamp(max=kappa)

    return loss
