"""Random noise of the budget's size: what an attack must beat."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.balls import draw, project, stream_seed, surface
from bench.core.types import Budget, Classifier, Mode


@dataclass(frozen=True, slots=True)
class RandomPoint:
    """One random point of the ball, in L2 of its surface, whatever the model says.

    Attributes:
        stream: Which of an image's random streams to use.
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
        """Return a point per image; see `bench.core.types.Attack`."""
        shape, norm = images.shape[1:], budget.norm
        points = [draw(shape, stream_seed(seed, self.stream), norm) for seed in seeds]
        noise = torch.stack(points).to(images)
        deltas = budget.eps * noise if norm == "linf" else surface(noise, budget)
        return project(images + deltas, images, budget)
