"""The interface of ascents: the update rules that the engine applies to images."""

from typing import Protocol

from torch import Tensor

from bench.core.types import Budget

State = dict[str, Tensor]  # each `[b, ...]`, one row per image of the batch


class Ascent(Protocol):
    """An update rule, applied to each image independently. It keeps no state of its own."""

    @property
    def steps(self) -> int:
        """Number of gradient steps."""
        ...

    def first(self, images: Tensor, budget: Budget, noise: Tensor) -> Tensor:
        """Return the start points `[b,3,h,w]`, within the budget.

        Args:
            images: The clean images, `[b,3,h,w]` in [0,1].
            budget: Norm and radius of the perturbation.
            noise: Random points of the unit ball of the budget's norm, `[b,3,h,w]`, each drawn
                from the image's own random stream.
        """
        ...

    def begin(self, images: Tensor, points: Tensor, budget: Budget) -> State:
        """Return the state at iteration 0, with the start points `[b,3,h,w]` under `point`."""
        ...

    def advance(self, state: State, loss: Tensor, gradient: Tensor, budget: Budget) -> State:
        """Return the state after one step.

        Args:
            state: The current state; it may be overwritten. `state["iteration"]` is the number
                of gradients used before this step.
            loss: Loss at `state["point"]`, `[b]`.
            gradient: Gradient of the loss there, `[b,3,h,w]`.
            budget: Norm and radius of the perturbation.
        """
        ...

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Return the adversarial images `[b,3,h,w]`, given the loss `[b]` at the last points."""
        ...
