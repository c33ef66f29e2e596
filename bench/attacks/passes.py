"""Forward and backward passes: logits, losses and gradients at perturbed images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.loss import Loss
from bench.core.errors import CellError
from bench.core.types import Classifier
from bench.models.batch_size import Batch

Evaluation = tuple[Tensor, Tensor, Tensor]  # logits [b,k], losses [b], gradients [b,3,h,w]


def evaluate(
    model: Classifier, loss: Loss, state: State, batch: Batch, *, eot: int, backward: bool
) -> Evaluation:
    """Return logits, losses and gradients at the points of a state.

    Args:
        model: The attacked model.
        loss: The loss to maximise, per image.
        state: The points under `point`, and the rows that the loss needs.
        batch: Number of images per pass; halved when memory runs out.
        eot: Number of passes to average.
        backward: Whether to compute gradients; if not, the returned gradients are empty.

    Raises:
        CellError: The model has no gradients, or the logits are NaN or infinite.
    """

    def both_ways(part: slice) -> Evaluation:
        point = state["point"][part].detach().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            rows = {key: value[part] for key, value in state.items()}
            logits, losses = loss.at(model, point, rows)
            total = losses.sum()
        if backward:
            raise_without_gradient(logits, total)
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
    """Return an untargeted loss `[n]` at perturbed images `[n,3,h,w]`, without gradients.

    `loss` must be comparable across runs (`Loss.ranks`).

    Raises:
        CellError: The logits are NaN or infinite.
    """

    def losses_of(part: slice) -> Tensor:
        own = labels[part]
        state = {**loss.precompute(model, images[part], seeds[part]), "label": own, "target": own}
        logits, losses = loss.at(model, points[part], state)
        finite(logits)
        return losses

    with torch.no_grad():
        return torch.cat(batch.parts(len(points), losses_of))


def precompute(
    loss: Loss, model: Classifier, images: Tensor, seeds: Sequence[int], batch: Batch
) -> State:
    """Run `Loss.precompute` on clean images `[n,3,h,w]`, batch by batch."""
    found = batch.parts(len(images), lambda part: loss.precompute(model, images[part], seeds[part]))
    return {key: torch.cat([each[key] for each in found]) for key in (found[0] if found else ())}


def _merge(found: list[Evaluation], how: Callable[[list[Tensor]], Tensor]) -> Evaluation:
    if len(found) == 1:  # the usual case; avoids a copy
        return found[0]
    logits, losses, gradients = (how(list(each)) for each in zip(*found, strict=True))
    return logits, losses, gradients


def logits_at(model: Classifier, points: Tensor, batch: Batch) -> Tensor:
    """Return the logits `[n,k]` at points `[n,3,h,w]`, without gradients.

    Raises:
        CellError: A logit is NaN or infinite.
    """
    with torch.no_grad():
        return torch.cat(batch.parts(len(points), lambda part: finite(model(points[part]))))


def logits_of_passes(model: Classifier, points: Tensor, batch: Batch, passes: int) -> Tensor:
    """Return the logits of several passes, `[passes,n,k]`, which differ if the model is random."""
    return torch.stack([logits_at(model, points, batch) for _ in range(passes)])


def share_wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of passes that misclassify each image, `[n]`, of logits `[passes,n,k]`."""
    return (logits.argmax(dim=2) != labels).float().mean(dim=0)


def still_wrong(
    model: Classifier, state: State, broken: Tensor, batch: Batch, *, passes: int
) -> Tensor:
    """Return which points of a state are misclassified in all of several further passes.

    Args:
        model: The attacked model, which is random.
        state: The points under `point`, and their classes under `label`.
        broken: The points in question, a mask `[b]` on the host; all others count as not broken.
        batch: Number of images per pass.
        passes: Number of passes.
    """
    rows = broken.nonzero().squeeze(1)
    if not len(rows):
        return broken
    given = rows.to(state["point"].device)
    logits = logits_of_passes(model, state["point"][given], batch, passes)
    always = share_wrong(logits, state["label"][given]) == 1
    return broken.index_put((rows,), always.to(broken.device))


def finite(logits: Tensor) -> Tensor:
    """Return the logits `[n,k]`; raise CellError if one is NaN or infinite."""
    raise_if_faulty(~torch.isfinite(logits).all(dim=1))
    return logits


def raise_without_gradient(logits: Tensor, total: Tensor) -> None:
    """Raise CellError if `total`, which comes of the logits `[n,k]`, has no gradient."""
    if not total.requires_grad:
        finite(logits)
        raise CellError(
            "the model's logits have no gradient with respect to the images; make its forward "
            "pass differentiable, or use an attack without gradients"
        )


def raise_if_faulty(faulty: Tensor) -> None:
    """Raise CellError if the mask `[n]` of images with NaN or infinite logits is not empty."""
    if bool(faulty.any()):
        raise CellError(
            f"the model's logits are NaN or infinite for {int(faulty.sum())} of {len(faulty)} "
            "images; check the weights and the precision"
        )
