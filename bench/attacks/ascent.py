"""What moves images: the protocol between the engine and its ascents."""

from typing import Protocol

from torch import Tensor

from bench.core.types import Budget

State = dict[str, Tensor]  # each `[b, ...]`, one row per image in flight


class Ascent(Protocol):
    """Where to go, image by image; holds no state of its own."""

    @property
    def steps(self) -> int:
        """Number of gradients that are used."""
        ...

    def first(self, images: Tensor, budget: Budget, noise: Tensor) -> Tensor:
        """Return where images are before any step, within the budget.

        `noise` `[b,3,h,w]` lies in the unit ball of the budget's norm, drawn from each
        image's own stream.
        """
        ...

    def begin(self, images: Tensor, points: Tensor, budget: Budget) -> State:
        """Return the state at iteration 0, with the first points `[b,3,h,w]` under `point`."""
        ...

    def advance(self, state: State, loss: Tensor, gradient: Tensor, budget: Budget) -> State:
        """Return the state after the point's loss `[b]` and gradient `[b,3,h,w]` are known.

        `state["iteration"]` counts the gradients used before this one. A state belongs to
        the ascent until the next call, so it may be written over.
        """
        ...

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Return the images to hand out once the last point's loss is known."""
        ...
