"""Projected gradient descent (PGD), used by fitting, fine-tuning and their evaluation."""

from collections.abc import Callable

import torch
from torch import Tensor


def pgd(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    eps: float,
    step: float,
    steps: int,
    start: Tensor | None = None,
) -> Tensor:
    """Maximise a per-image loss within an Linf ball by signed gradient ascent.

    Madry et al. 2018 (arXiv:1706.06083), eq. 1. RobustVLM's training attack is the same, although
    it has a momentum of 0.9: it adds 0.9 times the sign of the last step to the sign of the
    gradient and takes the sign of the sum, which equals the gradient's sign.

    Args:
        loss: Maps images `[b,3,h,w]` to losses `[b]`.
        images: Clean images `[b,3,h,w]` in [0,1].
        eps: Radius in [0,1] pixels.
        step: Step size in [0,1] pixels.
        steps: Number of gradient steps.
        start: Initial perturbation `[b,3,h,w]`; None for zero.

    Returns:
        The last iterate, within `eps` of `images` and within [0,1]; detached.
    """
    delta = torch.zeros_like(images) if start is None else start.clamp(-eps, eps)
    adversarial = (images + delta).clamp(0, 1)
    for _ in range(steps):
        adversarial.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(adversarial).sum(), adversarial)
        with torch.no_grad():
            moved = adversarial + step * gradient.sign()
            adversarial = torch.clamp(moved, images - eps, images + eps).clamp(0, 1)
    return adversarial.detach()


def uniform_start(images: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    """Draw a uniform perturbation in [-eps, eps], with the shape and device of `images`."""
    noise = torch.rand(images.shape, generator=generator, device=generator.device)
    return ((2 * noise - 1) * eps).to(images)
