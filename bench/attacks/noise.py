"""Random noise of the budget's size, the baseline for gradient attacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.balls import draw, project, stream_seed, surface
from bench.core.types import Budget, Classifier, Mode


@dataclass(frozen=True, slots=True)
class RandomPoint:
    """A random perturbation that ignores the model: uniform in the ball, or on the L2 surface.

    Attributes:
        stream: Index of the image's random stream.
    """

    stream: int

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        *,
        mode: Mode,
        seeds: Sequence[int],
    ) -> Tensor:
        """Return one noisy image per image; see `bench.core.types.Attack`."""
        shape, norm = images.shape[1:], budget.norm
        points = [draw(shape, stream_seed(seed, self.stream), norm) for seed in seeds]
        noise = torch.stack(points).to(images)
        deltas = budget.eps * noise if norm == "linf" else surface(noise, budget)
        return project(images + deltas, images, budget)
