"""One loop for all native gradient attacks, over an active set of images.

An ascent says where each image goes next; the engine evaluates the model, decides which
images are done, and fills their places. Every quantity is per image: its iteration, its
step size, its best point, its random start. So the outcome for an image does not depend
on its neighbours in a batch, beyond numerics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.attacks.losses import Loss
from bench.errors import CellError
from bench.types import Budget, Classifier, Mode

State = dict[str, Tensor]  # each `[b, ...]`, one row per image in flight


class Ascent(Protocol):
    """Where to go, image by image; holds no state of its own."""

    @property
    def steps(self) -> int:
        """Number of gradients that are used."""
        ...

    def begin(self, images: Tensor, budget: Budget, noise: Tensor) -> State:
        """Return the state at iteration 0, with the first point under `point`.

        `noise` `[b,3,h,w]` is uniform in [-1,1], drawn from each image's own stream.
        """
        ...

    def advance(self, state: State, loss: Tensor, gradient: Tensor, budget: Budget) -> State:
        """Return the state after the point's loss `[b]` and gradient `[b,3,h,w]` are known.

        `state["iteration"]` counts the gradients used before this one.
        """
        ...

    def finish(self, state: State, loss: Tensor) -> Tensor:
        """Return the images to hand out once the last point's loss is known."""
        ...


@dataclass(frozen=True, slots=True)
class NativeAttack:
    """An ascent on a loss, run by the engine.

    Attributes:
        ascent: Where to go.
        loss: What to maximise, per image.
        batch: Images in flight at once.
    """

    ascent: Ascent
    loss: Loss
    batch: int

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
        """Attack every image; see `bench.types.Attack`."""
        result = images.clone()
        queue = torch.arange(len(images), device=images.device)
        if mode == "success":
            queue = queue[self._correct(model, images, labels)]
        state: State = {}
        while len(queue) or state:
            free = self.batch - (len(state["row"]) if state else 0)
            if free > 0 and len(queue):
                fresh = self._begin(images, labels, budget, queue[:free], seeds)
                queue = queue[free:]
                state = join(state, fresh) if state else fresh
            state = self._iterate(model, state, budget, mode, result)
        return result

    def _correct(self, model: Classifier, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            found = [
                finite(model(part)).argmax(dim=1) == truth
                for part, truth in zip(
                    images.split(self.batch), labels.split(self.batch), strict=True
                )
            ]
        return torch.cat(found)

    def _begin(
        self, images: Tensor, labels: Tensor, budget: Budget, rows: Tensor, seeds: Sequence[int]
    ) -> State:
        noise = torch.stack([uniform(images.shape[1:], seeds[row]) for row in rows.tolist()])
        state = self.ascent.begin(images[rows], budget, noise.to(images))
        return {
            **state,
            "row": rows,
            "label": labels[rows],
            "iteration": torch.zeros(len(rows), dtype=torch.long, device=images.device),
        }

    def _iterate(
        self, model: Classifier, state: State, budget: Budget, mode: Mode, result: Tensor
    ) -> State:
        """Evaluate the points in flight, hand out what is done, and move the rest."""
        last = state["iteration"] == self.ascent.steps
        point = state["point"].detach().requires_grad_(not bool(last.all()))
        with torch.set_grad_enabled(point.requires_grad):
            logits = finite(model(point))
            loss = self.loss(logits, state["label"])
        gradient = (
            torch.autograd.grad(loss.sum(), point)[0]
            if point.requires_grad
            else torch.zeros_like(point)
        )
        loss = loss.detach()
        done = last
        result[state["row"][last]] = take({"out": self.ascent.finish(state, loss)}, last)["out"]
        if mode == "success":
            broken = logits.argmax(dim=1) != state["label"]
            result[state["row"][broken]] = state["point"][broken]
            done = done | broken
        keep = ~done
        if not bool(keep.any()):
            return {}
        moved = self.ascent.advance(take(state, keep), loss[keep], gradient[keep], budget)
        return {**moved, "iteration": moved["iteration"] + 1}


def take(state: State, rows: Tensor) -> State:
    """Return the chosen rows of a state."""
    return {key: value[rows] for key, value in state.items()}


def join(first: State, second: State) -> State:
    """Return the rows of both states."""
    return {key: torch.cat([value, second[key]]) for key, value in first.items()}


def uniform(shape: Sequence[int], seed: int) -> Tensor:
    """Draw from [-1,1] on the CPU, so that devices agree."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(tuple(shape), generator=generator) - 1


def finite(logits: Tensor) -> Tensor:
    """Return the logits, or raise CellError where one is not a number."""
    if not bool(torch.isfinite(logits).all()):
        count = int((~torch.isfinite(logits)).any(dim=1).sum())
        raise CellError(f"the model's logits are NaN or infinite for {count} of {len(logits)}")
    return logits


def project(points: Tensor, images: Tensor, budget: Budget) -> Tensor:
    """Bring points into the ball around the images and into [0,1]."""
    return torch.clamp(points, images - budget.eps, images + budget.eps).clamp(0, 1)
