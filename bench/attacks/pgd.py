"""PGD and its variants: steepest ascent with a fixed schedule of step sizes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.balls import project, steepest
from bench.core.types import Budget


@dataclass(frozen=True, slots=True)
class PgdAscent:
    """PGD (Madry et al. 2018, arXiv:1706.06083, eq. 1), optionally with momentum and halving.

    Attributes:
        steps: Number of gradient steps.
        step: Step size in units of eps / `steps`; with 2.5, all steps together are 2.5 eps long.
        random_start: Whether to start at a random point of the ball; else at the clean image.
        momentum: Decay of the accumulated gradients. Each gradient is divided by its mean absolute
            value first (MI-FGSM, Dong et al. 2018, arXiv:1710.06081, eq. 6). 0 is plain PGD.
        halve: Shares of `steps`, in (0,1), after which the step size halves.
        keep_best: Whether to return the point of the highest loss; else the last point.
        length: Step size in the units of eps, in place of `step`.
    """

    steps: int
    step: float
    random_start: bool
    momentum: float = 0.0
    halve: tuple[float, ...] = ()
    keep_best: bool = False
    length: float | None = None

    def first(self, images: Tensor, budget: Budget, noise: Tensor) -> Tensor:
        """Return the clean images, or random points of their balls."""
        start = images + budget.eps * noise if self.random_start else images
        return project(start, images, budget)

    def begin(self, images: Tensor, points: Tensor, budget: Budget) -> State:
        """Return the first state: no accumulated gradient, no loss recorded."""
        state = {"image": images, "point": points}
        if self.momentum:
            state["velocity"] = torch.zeros_like(images)
        if self.keep_best:
            state["best"] = state["point"]
            state["best_loss"] = torch.full_like(images[:, 0, 0, 0], -torch.inf)
        return state

    def advance(self, state: State, loss: Tensor, gradient: Tensor, budget: Budget) -> State:
        """Take one step in the direction of steepest ascent."""
        if self.keep_best:
            better = loss > state["best_loss"]
            state = {
                **state,
                "best": torch.where(better[:, None, None, None], state["point"], state["best"]),
                "best_loss": torch.where(better, loss, state["best_loss"]),
            }
        if self.momentum:
            mean = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
            gradient = gradient / mean.clamp_min(torch.finfo(gradient.dtype).tiny)
            gradient = self.momentum * state["velocity"] + gradient
            state = {**state, "velocity": gradient}
        size = self._size(state["iteration"])
        if self.length is None:
            size = size * budget.eps / self.steps
        moved = state["point"] + size * steepest(gradient, budget.norm)
        return {**state, "point": project(moved, state["image"], budget)}

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Return the last points, or the points of the highest loss."""
        if not self.keep_best:
            return state["point"]
        better = (loss > state["best_loss"])[:, None, None, None]
        return torch.where(better, state["point"], state["best"])

    def _size(self, iteration: Tensor) -> float | Tensor:
        first = self.step if self.length is None else self.length
        if not self.halve:
            return first
        halved = [iteration >= int(share * self.steps) for share in self.halve]
        halvings = torch.stack(halved, dim=1).sum(dim=1)
        return first * 0.5 ** halvings[:, None, None, None]
