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

from bench.attacks.balls import draw
from bench.attacks.losses import Loss, wrong_class
from bench.errors import CellError
from bench.types import Budget, Classifier, Mode

_STREAM = 0x9E3779B97F4A7C  # far apart, so that no two images' streams meet
_SEEDS = 2**63  # torch takes no larger ones

State = dict[str, Tensor]  # each `[b, ...]`, one row per image in flight


class Ascent(Protocol):
    """Where to go, image by image; holds no state of its own."""

    @property
    def steps(self) -> int:
        """Number of gradients that are used."""
        ...

    def begin(self, images: Tensor, budget: Budget, noise: Tensor) -> State:
        """Return the state at iteration 0, with the first point under `point`.

        `noise` `[b,3,h,w]` lies in the unit ball of the budget's norm, drawn from each
        image's own stream.
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
        stream: Which of an image's random streams to use; 0 is its own, others are for restarts.
        rank: Go for the `rank`-th most likely wrong class of the clean image; 0 goes for any.
        eot: Forward passes per step, whose losses, logits and gradients are averaged
            (expectation over transformation, Athalye et al. 2018, arXiv:1707.07397).
    """

    ascent: Ascent
    loss: Loss
    batch: int
    stream: int = 0
    rank: int = 0
    eot: int = 1

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
        targets = labels
        if mode == "success" or self.rank:
            correct, targets = self._look(model, images, labels)
            queue = queue[correct] if mode == "success" else queue
        state: State = {}
        while len(queue) or state:
            free = self.batch - (len(state["row"]) if state else 0)
            if free > 0 and len(queue):
                fresh = self._begin(images, labels, targets, budget, queue[:free], seeds)
                queue = queue[free:]
                state = join(state, fresh) if state else fresh
            state = self._iterate(model, state, budget, mode, result)
        return result

    def _look(self, model: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return which clean images are classified correctly, and each one's target."""
        correct, targets = [], []
        with torch.no_grad():
            for part, truth in zip(images.split(self.batch), labels.split(self.batch), strict=True):
                logits = finite(model(part))
                correct.append(logits.argmax(dim=1) == truth)
                targets.append(wrong_class(logits, truth, self.rank) if self.rank else truth)
        return torch.cat(correct), torch.cat(targets)

    def _begin(
        self,
        images: Tensor,
        labels: Tensor,
        targets: Tensor,
        budget: Budget,
        rows: Tensor,
        seeds: Sequence[int],
    ) -> State:
        noise = [
            draw(images.shape[1:], (seeds[row] + _STREAM * self.stream) % _SEEDS, budget.norm)
            for row in rows.tolist()
        ]
        state = self.ascent.begin(images[rows], budget, torch.stack(noise).to(images))
        return {
            **state,
            "row": rows,
            "label": labels[rows],
            "target": targets[rows],
            "iteration": torch.zeros(len(rows), dtype=torch.long, device=images.device),
        }

    def _iterate(
        self, model: Classifier, state: State, budget: Budget, mode: Mode, result: Tensor
    ) -> State:
        """Evaluate the points in flight, hand out what is done, and move the rest."""
        last = state["iteration"] == self.ascent.steps
        logits, loss, gradient = self._evaluate(model, state, backward=not bool(last.all()))
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

    def _evaluate(
        self, model: Classifier, state: State, *, backward: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, losses and gradients at the points, means over `eot` passes."""
        point = state["point"].detach().requires_grad_(backward)
        passes = []
        for _ in range(self.eot):
            with torch.set_grad_enabled(backward):
                logits = finite(model(point))
                loss = self.loss(logits, state["label"], state["target"])
            gradient = (
                torch.autograd.grad(loss.sum(), point)[0] if backward else torch.zeros_like(point)
            )
            passes.append((logits.detach(), loss.detach(), gradient))
        if self.eot == 1:
            return passes[0]
        logits, loss, gradient = (
            torch.stack(each).mean(dim=0) for each in zip(*passes, strict=True)
        )
        return logits, loss, gradient


def take(state: State, rows: Tensor) -> State:
    """Return the chosen rows of a state."""
    return {key: value[rows] for key, value in state.items()}


def join(first: State, second: State) -> State:
    """Return the rows of both states."""
    return {key: torch.cat([value, second[key]]) for key, value in first.items()}


def finite(logits: Tensor) -> Tensor:
    """Return the logits, or raise CellError where one is not a number."""
    if not bool(torch.isfinite(logits).all()):
        count = int((~torch.isfinite(logits)).any(dim=1).sum())
        raise CellError(f"the model's logits are NaN or infinite for {count} of {len(logits)}")
    return logits
