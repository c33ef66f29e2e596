"""Passes through the model: logits, losses and gradients at the points of a state."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.loss import Loss
from bench.core.errors import CellError
from bench.core.types import Classifier
from bench.models.batch_size import Batch

Seen = tuple[Tensor, Tensor, Tensor]  # logits [b,k], losses [b], gradients [b,3,h,w]


def evaluate(
    model: Classifier, loss: Loss, state: State, batch: Batch, *, eot: int, backward: bool
) -> Seen:
    """Return logits, losses and gradients at the points of a state.

    Args:
        model: What is attacked.
        loss: What is maximised, per image.
        state: The points under `point`, and what else the loss asks for.
        batch: Images at once; halved where memory ends.
        eot: Passes to average over.
        backward: Whether gradients are wanted; else there are none.

    Raises:
        CellError: There are no gradients, or the logits are not numbers.
    """

    def both_ways(part: slice) -> Seen:
        point = state["point"][part].detach().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            rows = {key: value[part] for key, value in state.items()}
            logits, losses = loss.at(model, point, rows)
            total = losses.sum()
        if backward and not total.requires_grad:
            finite(logits)
            raise CellError("the model's logits have no gradient with respect to the images")
        gradient = torch.autograd.grad(total, point)[0] if backward else logits.new_empty(0)
        return logits.detach(), losses.detach(), gradient

    count = len(state["point"])
    passes = [_merge(batch.parts(count, both_ways), torch.cat) for _ in range(eot)]
    return _merge(passes, lambda each: torch.stack(each).mean(dim=0))


def loss_at(
    model: Classifier,
    loss: Loss,
    points: Tensor,
    images: Tensor,
    labels: Tensor,
    seeds: Sequence[int],
    batch: Batch,
) -> Tensor:
    """Return an untargeted loss `[n]` at points `[n,3,h,w]` of images, without gradients.

    `loss` must rank points (`Loss.ranks`).

    Raises:
        CellError: What the model returns is not a number.
    """

    def seen(part: slice) -> Tensor:
        own = labels[part]
        state = {**loss.known(model, images[part], seeds[part]), "label": own, "target": own}
        logits, losses = loss.at(model, points[part], state)
        finite(logits)
        return losses

    with torch.no_grad():
        return torch.cat(batch.parts(len(points), seen))


def known_of(
    loss: Loss, model: Classifier, images: Tensor, seeds: Sequence[int], batch: Batch
) -> State:
    """Return what a loss must know of clean images `[n,3,h,w]`, asked for batch by batch."""
    found = batch.parts(len(images), lambda part: loss.known(model, images[part], seeds[part]))
    return {key: torch.cat([each[key] for each in found]) for key in (found[0] if found else ())}


def _merge(seen: list[Seen], how: Callable[[list[Tensor]], Tensor]) -> Seen:
    if len(seen) == 1:  # as it nearly always is: saves a copy
        return seen[0]
    logits, losses, gradients = (how(list(each)) for each in zip(*seen, strict=True))
    return logits, losses, gradients


def logits_at(model: Classifier, points: Tensor, batch: Batch) -> Tensor:
    """Return the logits `[n,k]` at points `[n,3,h,w]`, without gradients.

    Raises:
        CellError: One is not a number.
    """
    with torch.no_grad():
        return torch.cat(batch.parts(len(points), lambda part: finite(model(points[part]))))


def finite(logits: Tensor) -> Tensor:
    """Return the logits, or raise CellError where one is not a number."""
    complain(~torch.isfinite(logits).all(dim=1))
    return logits


def complain(faulty: Tensor) -> None:
    """Raise CellError where an image's logits are not numbers."""
    if bool(faulty.any()):
        raise CellError(
            f"the model's logits are NaN or infinite for {int(faulty.sum())} of {len(faulty)}"
        )
