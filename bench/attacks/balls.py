"""Balls around images, by norm: projection, steepest direction, random points."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.types import Budget, Norm

_STREAM = 0x9E3779B97F4A7C  # far apart, so that no two images' streams meet
_SEEDS = 2**63  # torch takes no larger ones
_TINY = torch.finfo(torch.float32).tiny  # keeps 0/0 at 0, and disturbs nothing else


def length(deltas: Tensor, norm: Norm) -> Tensor:
    """Return the norm `[b]` of each perturbation `[b,3,h,w]`."""
    flat = deltas.flatten(1)
    return flat.abs().amax(dim=1) if norm == "linf" else flat.norm(dim=1)


def project(points: Tensor, images: Tensor, budget: Budget) -> Tensor:
    """Bring points into the ball around the images and into [0,1].

    The L2 ball comes first and the box second, as in the authors' APGD: clipping only
    shortens a perturbation, but the result is not the nearest point of both.
    """
    if budget.norm == "linf":
        return torch.clamp(points, images - budget.eps, images + budget.eps).clamp(0, 1)
    deltas = points - images
    share = (budget.eps / length(deltas, "l2").clamp_min(_TINY)).clamp(max=1)
    return (images + share[:, None, None, None] * deltas).clamp(0, 1)


def steepest(gradients: Tensor, norm: Norm) -> Tensor:
    """Return per image the direction of length 1 that a linear loss rises most along.

    That is the sign in Linf, and the gradient over its length in L2. A gradient of zero
    has none and stays zero.
    """
    if norm == "linf":
        return gradients.sign()
    # a saturated cross-entropy leaves gradients whose squares would underflow
    largest = length(gradients, "linf").clamp_min(_TINY)[:, None, None, None]
    scaled = gradients / largest
    return scaled / length(scaled, "l2").clamp_min(_TINY)[:, None, None, None]


def surface(noise: Tensor, budget: Budget) -> Tensor:
    """Scale points of the unit ball to the surface of the budget's ball."""
    reach = length(noise, budget.norm).clamp_min(1e-12)[:, None, None, None]
    return budget.eps * noise / reach


def stream_seed(seed: int, stream: int) -> int:
    """Return the seed of one of an image's random streams; stream 0 has the image's own."""
    return (seed + _STREAM * stream) % _SEEDS


def draw(shape: Sequence[int], seed: int, norm: Norm) -> Tensor:
    """Draw a point of the unit ball on the CPU, so that devices agree.

    Linf: uniform. L2: a uniform direction with a uniform length, as torchattacks has it;
    a point uniform in a ball of thousands of dimensions would always be on its surface.
    """
    generator = torch.Generator().manual_seed(seed)
    if norm == "linf":
        return 2 * torch.rand(tuple(shape), generator=generator) - 1
    direction = torch.randn(tuple(shape), generator=generator)
    radius = torch.rand((), generator=generator)
    return radius * direction / length(direction[None], "l2")
