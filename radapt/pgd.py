"""The projected-gradient primitive that fitting, fine-tuning and attacking share."""

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
    momentum: float = 0.0,
    start: Tensor | None = None,
) -> Tensor:
    """Maximise a per-image loss within an Linf ball by signed gradient ascent.

    Madry et al. 2018 (arXiv:1706.06083), eq. 1; with `momentum` the gradient is
    normalised by its mean absolute value and accumulated (Dong et al. 2018,
    arXiv:1710.06081).

    Args:
        loss: Maps images `[b,3,h,w]` to one loss per image, `[b]`.
        images: Clean images in [0,1], `[b,3,h,w]`.
        eps: Radius of the ball, in the images' unit.
        step: Step size, in the images' unit.
        steps: Number of gradient steps.
        momentum: Decay of the accumulated gradient; 0 is plain PGD.
        start: First perturbation, `[b,3,h,w]`; zero when not given.

    Returns:
        The last iterate, within `eps` of `images` and within [0,1]; detached.
    """
    delta = torch.zeros_like(images) if start is None else start.clamp(-eps, eps)
    adversarial = (images + delta).clamp(0, 1)
    velocity = torch.zeros_like(images)
    for _ in range(steps):
        adversarial.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(adversarial).sum(), adversarial)
        if momentum:
            scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
            velocity = momentum * velocity + gradient / scale
            gradient = velocity
        with torch.no_grad():
            moved = adversarial + step * gradient.sign()
            adversarial = torch.clamp(moved, images - eps, images + eps).clamp(0, 1)
    return adversarial.detach()


def uniform_start(images: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    """Draw a perturbation uniformly from the Linf ball of radius `eps`, like `images`."""
    noise = torch.rand(images.shape, generator=generator, device=generator.device)
    return ((2 * noise - 1) * eps).to(images)
