"""Adversarial fine-tuning of a vision tower: the losses of FARE and TeCoA.

A loss says what the attacker maximises and what training minimises, which in both
methods is the same number. The training loop belongs to whoever has the data.
"""

from collections.abc import Callable
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class RobustLoss(Protocol):
    """One loss per image from its embedding, with everything else bound beforehand."""

    def __call__(self, embedding: Tensor) -> Tensor:
        """Map embeddings `[b,d]` of perturbed images to losses `[b]`."""
        ...


def fare_loss(clean_embedding: Tensor) -> RobustLoss:
    """FARE: squared L2 distance to the original model's embedding of the clean image.

    Schlarmann et al. 2024 (arXiv:2402.12336), eq. 3. No labels and no text; the
    embeddings are not normalised and the squares are summed over dimensions.

    Args:
        clean_embedding: `[b,d]`, from the frozen original tower on the clean images.
    """
    return lambda embedding: (embedding - clean_embedding).square().sum(dim=1)


def tecoa_loss(text: Tensor, labels: Tensor, scale: float = 100.0) -> RobustLoss:
    """TeCoA: cross-entropy of the zero-shot classifier over the training classes.

    Mao et al. 2023 (arXiv:2212.07016), eq. 3, with RobustVLM's logit scale.

    Args:
        text: Normalised class vectors, `[k,d]`.
        labels: Class of each image, `[b]`.
        scale: Factor on the cosine similarity.
    """

    def loss(embedding: Tensor) -> Tensor:
        logits = scale * F.normalize(embedding, dim=1) @ text.T
        return F.cross_entropy(logits, labels, reduction="none")

    return loss


def on_images(loss: RobustLoss, tower: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the same loss as a function of pixels, for the attack inside training."""
    return lambda images: loss(tower(images))
