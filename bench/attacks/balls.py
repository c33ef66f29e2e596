"""Linf and L2 balls around images: projection, steepest direction, random points."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.types import Budget, Norm

_STREAM_OFFSET = 0x9E3779B97F4A7C  # large, so that the streams of two images do not coincide
_SEED_LIMIT = 2**63  # torch accepts smaller seeds only
_TINY = torch.finfo(torch.float32).tiny  # makes 0/0 equal 0 and changes no other quotient


def length(deltas: Tensor, norm: Norm) -> Tensor:
    """Return the norm `[b]` of each perturbation `[b,3,h,w]`."""
    flat = deltas.flatten(1)
    return flat.abs().amax(dim=1) if norm == "linf" else flat.norm(dim=1)


def reach(budget: Budget) -> float:
    """Return the largest norm of a perturbation that counts as within a budget, with rounding."""
    return budget.eps + 1e-6 + 1e-5 * budget.eps


def project(points: Tensor, images: Tensor, budget: Budget) -> Tensor:
    """Project points `[b,3,h,w]` into the ball around the images and into [0,1].

    In L2, the projection to the ball comes first and the clipping to [0,1] second, as in the
    authors' APGD. Clipping can only shorten a perturbation, so the result is in both sets, but it
    is not the nearest point of their intersection.
    """
    if budget.norm == "linf":
        return torch.clamp(points, images - budget.eps, images + budget.eps).clamp(0, 1)
    deltas = points - images
    scale = (budget.eps / length(deltas, "l2").clamp_min(_TINY)).clamp(max=1)
    return (images + scale[:, None, None, None] * deltas).clamp(0, 1)


def steepest(gradients: Tensor, norm: Norm) -> Tensor:
    """Return, per image, the direction of norm 1 in which a linear loss rises most.

    In Linf this is the sign of the gradient; in L2 it is the gradient divided by its norm. A zero
    gradient stays zero.
    """
    if norm == "linf":
        return gradients.sign()
    # if the cross-entropy saturates, gradients are so small that their squares would underflow
    largest = length(gradients, "linf").clamp_min(_TINY)[:, None, None, None]
    scaled = gradients / largest
    return scaled / length(scaled, "l2").clamp_min(_TINY)[:, None, None, None]


def surface(noise: Tensor, budget: Budget) -> Tensor:
    """Scale nonzero vectors `[b,3,h,w]` to the norm `eps`."""
    size = length(noise, budget.norm).clamp_min(1e-12)[:, None, None, None]
    return budget.eps * noise / size


def stream_seed(seed: int, stream: int) -> int:
    """Return the seed of one of an image's random streams; stream 0 uses the image's own seed."""
    return (seed + _STREAM_OFFSET * stream) % _SEED_LIMIT


def draw(shape: Sequence[int], seed: int, norm: Norm) -> Tensor:
    """Draw a random point of the unit ball, on the CPU so that all devices get the same point.

    Linf: uniform in the ball. L2: a uniform direction and a uniform norm, as in torchattacks; a
    uniform point of a ball in thousands of dimensions would almost always be on its surface.
    """
    generator = torch.Generator().manual_seed(seed)
    if norm == "linf":
        return 2 * torch.rand(tuple(shape), generator=generator) - 1
    direction = torch.randn(tuple(shape), generator=generator)
    radius = torch.rand((), generator=generator)
    return radius * direction / length(direction[None], "l2")
