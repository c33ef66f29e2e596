"""Auto-PGD (Croce and Hein 2020, arXiv:2003.01690, algorithm 1), with one schedule per image."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.balls import project, steepest, surface
from bench.attacks.spectrum import Spectrum
from bench.core.types import Budget

MOMENTUM = 0.25  # weight of the previous move; the gradient step has the rest


@dataclass(frozen=True, slots=True)
class Apgd:
    """Steepest ascent with momentum, which halves its step size when progress stalls.

    At a checkpoint, an image's step size is halved and the image returns to its best point in
    two cases: its loss rose in at most a share `rho` of the steps since the last checkpoint, or
    neither the step size nor the best loss has changed since then. Checkpoints, start and the
    order of projections follow the authors' code (fra31/auto-attack), with one difference: their
    code always counts the first step as a rise; here it counts only if the loss rose.

    Attributes:
        steps: Number of gradient steps.
        rho: Share of rising steps, in (0,1), at or below which the step size is halved.
        spectrum: The low-pass filter that shapes start and steps, or None.
        momentum: Weight of the previous move in each step, in [0,1).
    """

    steps: int
    rho: float
    spectrum: Spectrum | None = None
    momentum: float = MOMENTUM

    def first(self, images: Tensor, budget: Budget, noise: Tensor) -> Tensor:
        """Return start points on the surface of the ball: noise scaled to the norm `eps`."""
        start = self.spectrum.start(noise) if self.spectrum else noise
        return project(images + surface(start, budget), images, budget)

    def begin(self, images: Tensor, points: Tensor, budget: Budget) -> State:
        """Return the first state: the step size is twice the radius, no loss is recorded."""
        zero = torch.zeros(len(images), dtype=images.dtype, device=images.device)
        return {
            "image": images,
            "point": points,
            "previous": points,
            "best": points,
            "best_gradient": torch.zeros_like(points),
            "best_loss": zero - torch.inf,
            "last_loss": zero + torch.inf,
            "size": zero + 2 * budget.eps,
            "rises": zero,
            "halved": torch.ones(len(images), dtype=torch.bool, device=images.device),
            "checkpoint_loss": zero - torch.inf,
        }

    def advance(self, state: State, loss: Tensor, gradient: Tensor, budget: Budget) -> State:
        """Record the point's loss, halve step sizes at checkpoints, and take one step."""
        state = self._record(state, loss, gradient)
        state, gradient = self._apply_checkpoint(state, gradient)
        point, image = state["point"], state["image"]
        size = state["size"][:, None, None, None]
        # before the first step there is no previous move
        weight = torch.where(state["iteration"] > 0, 1 - self.momentum, 1.0).to(point.dtype)
        weight = weight[:, None, None, None]
        direction = self.spectrum.steepest if self.spectrum else steepest
        plain = project(point + size * direction(gradient, budget.norm), image, budget)
        moved = point + weight * (plain - point) + (1 - weight) * (point - state["previous"])
        return {**state, "point": project(moved, image, budget), "previous": point}

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Return the point of the highest loss."""
        better = (loss > state["best_loss"])[:, None, None, None]
        return torch.where(better, state["point"], state["best"])

    def _record(self, state: State, loss: Tensor, gradient: Tensor) -> State:
        better = loss > state["best_loss"]
        wide = better[:, None, None, None]
        started = state["iteration"] > 0
        return {
            **state,
            "best": torch.where(wide, state["point"], state["best"]),
            "best_gradient": torch.where(wide, gradient, state["best_gradient"]),
            "best_loss": torch.where(better, loss, state["best_loss"]),
            "rises": state["rises"] + (started & (loss > state["last_loss"])),
            "last_loss": loss,
            "checkpoint_loss": torch.where(started, state["checkpoint_loss"], loss),
        }

    def _apply_checkpoint(self, state: State, gradient: Tensor) -> tuple[State, Tensor]:
        window = windows(self.steps, gradient.device)[state["iteration"]]
        due = window > 0
        stalled = state["rises"] <= self.rho * window
        unchanged = ~state["halved"] & (state["checkpoint_loss"] >= state["best_loss"])
        halve = due & (stalled | unchanged)
        wide = halve[:, None, None, None]
        checked = {
            **state,
            "size": torch.where(halve, state["size"] / 2, state["size"]),
            "point": torch.where(wide, state["best"], state["point"]),
            "halved": torch.where(due, halve, state["halved"]),
            "checkpoint_loss": torch.where(due, state["best_loss"], state["checkpoint_loss"]),
            "rises": torch.where(due, 0.0, state["rises"]).to(state["rises"].dtype),
        }
        return checked, torch.where(wide, state["best_gradient"], gradient)


@cache
def windows(steps: int, device: torch.device) -> Tensor:
    """Return, per iteration, the window that ends there, or 0 if it is no checkpoint, `[steps+1]`.

    The window is the number of steps since the previous checkpoint.
    """
    found = checkpoints(steps)
    return torch.tensor([found.get(at, 0) for at in range(steps + 1)], device=device)


def checkpoints(steps: int) -> dict[int, int]:
    """Return the iterations at which step sizes may halve, each with the window before it.

    The first window is 22% of the steps. Each next window is shorter by 3% of the steps, down to
    6% of them.
    """
    window = max(int(0.22 * steps), 1)
    least = max(int(0.06 * steps), 1)
    shrink = max(int(0.03 * steps), 1)
    found: dict[int, int] = {}
    at = window
    while at <= steps:
        found[at] = window
        window = max(window - shrink, least)
        at += window
    return found
