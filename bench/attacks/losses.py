"""Per-image losses that an attack maximises."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks.crops import cropped


class Loss(Protocol):
    """A loss of logits `[b,k]` per image; higher is worse for the model."""

    def __call__(self, logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the loss `[b]`.

        Args:
            logits: `[b,k]`.
            labels: The true classes, `[b]`.
            targets: The classes that a targeted attack goes for, `[b]`; of no meaning to
                others.
        """
        ...


def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with the true class."""
    return F.cross_entropy(logits, labels, reduction="none")


def rescaled_cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits over their standard deviation per image.

    The deviation counts as a constant in the gradient. A model whose logits are so large that its
    softmax saturates has a cross-entropy and gradients of zero in float32 (Carlini and Wagner
    2016, arXiv:1607.04311, on defensive distillation); whatever factor it has put on its logits,
    this takes off again.
    """
    scale = logits.detach().std(dim=1, keepdim=True)
    tiny = torch.finfo(logits.dtype).tiny
    return cross_entropy(logits / scale.clamp_min(tiny), labels, targets)


def margin(kappa: float) -> Loss:
    """Return Carlini and Wagner's margin (2017, arXiv:1608.04644, f6), to be maximised.

    The largest other logit minus the true one, capped at `kappa`: past that the gradient
    is zero and the image stays where it is.
    """

    def loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        return (_largest_other(logits, labels) - _at(logits, labels)).clamp(max=kappa)

    return loss


def dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020, arXiv:2003.01690, eq. 7).

    The margin over the gap between the first and the third logit, so at least 3 classes.
    """
    top = logits.topk(3, dim=1).values
    gap = top[:, 0] - top[:, 2]
    return (_largest_other(logits, labels) - _at(logits, labels)) / (gap + 1e-12)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted DLR (Croce and Hein 2020, arXiv:2003.01690, eq. 8); at least 4 classes."""
    top = logits.topk(4, dim=1).values
    gap = top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return (_at(logits, targets) - _at(logits, labels)) / (gap + 1e-12)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far an image's embedding has moved from the clean image's, whatever the classes.

    FARE is trained against this (Schlarmann et al. 2024, arXiv:2402.12336, eq. 3) in squared L2 on
    embeddings that are not normalised. Here it is one less the cosine: classes are told by the
    direction alone, and where lengths are 1 the two differ by a factor of 2.
    """

    def __call__(self, embeddings: Tensor, references: Tensor) -> Tensor:
        """Return the loss `[b]` of embeddings `[b,d]`, given the clean images', all of length 1."""
        return 1 - (embeddings * references).sum(dim=1)


@dataclass(frozen=True, slots=True)
class Spoken:
    """How unlikely a model is to say a text, which is what training on it would minimise.

    The text is what is known to be right, or with `towards` what an attacker wants to be said;
    then the loss is how likely it is (Schlarmann and Hein 2023, arXiv:2308.10741).

    Attributes:
        towards: Whether the text is to be said.
    """

    towards: bool = False

    def __call__(self, likelihood: Tensor) -> Tensor:
        """Return the loss `[b]` of log-likelihoods `[b]` in nats per token."""
        return likelihood if self.towards else -likelihood


@dataclass(frozen=True, slots=True)
class Lean:
    """How far the value features of a random crop lean to what an attacker wants to be seen.

    Attributes:
        blocks: How many of the last blocks count.
        least: The smallest share of a crop's side.
    """

    blocks: int
    least: float

    def views(self, points: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        """Return what is looked at of points `[b,3,h,w]`, given their seeds and steps `[b]`."""
        return cropped(points, seeds, steps, self.least)


def wrong_class(logits: Tensor, labels: Tensor, rank: int) -> Tensor:
    """Return per image the `rank`-th most likely of the wrong classes, `[b]`; 1 is first."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(rank, dim=1).indices[:, -1]


def _at(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None]).squeeze(1)


def _largest_other(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
