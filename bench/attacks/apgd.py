"""Auto-PGD (Croce and Hein 2020, arXiv:2003.01690, algorithm 1), per image."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.balls import project, steepest, surface
from bench.attacks.spectrum import Spectrum
from bench.core.types import Budget

MOMENTUM = 0.75  # weight of the gradient step against the previous move


@dataclass(frozen=True, slots=True)
class Apgd:
    """Steepest ascent with momentum whose step halves where progress stalls.

    At a checkpoint an image's step is halved and the image is sent back to its best
    point if its loss rose in fewer than a share `rho` of the steps since the last
    checkpoint, or if neither step nor best loss has changed since then. Checkpoints, the
    start and the order of projections follow the authors' code (fra31/auto-attack), but
    for one thing: there the first step always counts as a rise, here if the loss rose.

    Attributes:
        steps: Number of gradient steps.
        rho: The share of rising steps below which the step is halved.
        spectrum: The filter that start and steps are made for.
    """

    steps: int
    rho: float
    spectrum: Spectrum | None = None

    def first(self, images: Tensor, budget: Budget, noise: Tensor) -> Tensor:
        """Begin on the ball's surface: in Linf, noise scaled to reach it in one pixel."""
        start = self.spectrum.start(noise) if self.spectrum else noise
        return project(images + surface(start, budget), images, budget)

    def begin(self, images: Tensor, points: Tensor, budget: Budget) -> State:
        """Begin with steps of twice the radius, and nothing known of the loss."""
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
        """Note the point's loss, halve steps at checkpoints, and move."""
        state = self._note(state, loss, gradient)
        state, gradient = self._check(state, gradient)
        point, image = state["point"], state["image"]
        size = state["size"][:, None, None, None]
        # the first step has no previous move to carry on
        share = torch.where(state["iteration"] > 0, MOMENTUM, 1.0).to(point.dtype)
        share = share[:, None, None, None]
        towards = self.spectrum.steepest if self.spectrum else steepest
        plain = project(point + size * towards(gradient, budget.norm), image, budget)
        carried = point + share * (plain - point) + (1 - share) * (point - state["previous"])
        return {**state, "point": project(carried, image, budget), "previous": point}

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Hand out the point of the highest loss."""
        better = (loss > state["best_loss"])[:, None, None, None]
        return torch.where(better, state["point"], state["best"])

    def _note(self, state: State, loss: Tensor, gradient: Tensor) -> State:
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

    def _check(self, state: State, gradient: Tensor) -> tuple[State, Tensor]:
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
    """Return the window before each iteration that is a checkpoint, else 0, `[steps + 1]`."""
    found = checkpoints(steps)
    return torch.tensor([found.get(at, 0) for at in range(steps + 1)], device=device)


def checkpoints(steps: int) -> dict[int, int]:
    """Return the iterations at which steps may halve, each with the window before it.

    Windows begin at 22% of the steps and shrink by 3% each time, to no less than 6%.
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
