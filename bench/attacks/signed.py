"""PGD: signed gradient ascent with a fixed step."""

from dataclasses import dataclass

from torch import Tensor

from bench.attacks.balls import project, steepest
from bench.attacks.engine import State
from bench.types import Budget


@dataclass(frozen=True, slots=True)
class SignedAscent:
    """Madry et al. 2018 (arXiv:1706.06083): the last of `steps` signed steps.

    Attributes:
        steps: Number of gradient steps.
        step: Step size times `steps` over eps: 2.5 walks 2.5 radii in all.
        random_start: Whether to begin at a uniformly drawn point of the ball.
    """

    steps: int
    step: float
    random_start: bool

    def begin(self, images: Tensor, budget: Budget, noise: Tensor) -> State:
        """Begin at the image, or at a random point of its ball."""
        start = images + budget.eps * noise if self.random_start else images
        return {"image": images, "point": project(start, images, budget)}

    def advance(self, state: State, loss: Tensor, gradient: Tensor, budget: Budget) -> State:
        """Go one step along the gradient's sign."""
        size = self.step * budget.eps / self.steps
        moved = project(
            state["point"] + size * steepest(gradient, budget.norm), state["image"], budget
        )
        return {**state, "point": moved}

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Hand out the last point."""
        return state["point"]
