"""Passes through the model: logits, losses and gradients at the points of a state."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.losses import Drift, Lean, Loss, Spoken
from bench.core.errors import CellError
from bench.core.exchanges import leaning, speaker
from bench.core.types import Classifier, EmbeddingClassifier
from bench.models.batch_size import Batch

# logits [b,k] (of texts, their likelihoods [b,1]), losses [b], gradients [b,3,h,w]
Seen = tuple[Tensor, Tensor, Tensor]
AnyLoss = Loss | Drift | Spoken | Lean


def evaluate(
    model: Classifier, loss: AnyLoss, state: State, batch: Batch, *, eot: int, backward: bool
) -> Seen:
    """Return logits, losses and gradients at the points of a state.

    Args:
        model: What is attacked.
        loss: What is maximised, per image.
        state: With the points, labels and targets, and references where the loss is of embeddings.
        batch: Images at once; halved where memory ends.
        eot: Passes to average over.
        backward: Whether gradients are wanted; else there are none.

    Raises:
        CellError: There are no gradients, or the logits are not numbers.
    """

    def both_ways(part: slice) -> Seen:
        point = state["point"][part].detach().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            if isinstance(loss, Drift):
                shown = embedding(model)
                embeddings = shown.embed(point)
                logits = shown.classify(embeddings)
                losses = loss(embeddings, state["reference"][part])
            elif isinstance(loss, Spoken):
                likelihood = speaker(model).likelihood(point, state["label"][part])
                logits, losses = likelihood[:, None], loss(likelihood)
            elif isinstance(loss, Lean):
                views = loss.views(point, state["seed"][part], state["iteration"][part])
                losses = leaning(model).lean(views, state["label"][part], loss.blocks)
                logits = losses[:, None]
            else:
                logits = model(point)
                losses = loss(logits, state["label"][part], state["target"][part])
            total = losses.sum()
        if backward and not total.requires_grad:
            finite(logits)
            raise CellError("the model's logits have no gradient with respect to the images")
        gradient = torch.autograd.grad(total, point)[0] if backward else logits.new_empty(0)
        return logits.detach(), losses.detach(), gradient

    count = len(state["point"])
    passes = [_merge(batch.parts(count, both_ways), torch.cat) for _ in range(eot)]
    return _merge(passes, lambda each: torch.stack(each).mean(dim=0))


def embedding(model: Classifier) -> EmbeddingClassifier:
    """Return the model, or raise CellError where it does not show its embeddings."""
    if not isinstance(model, EmbeddingClassifier):
        raise CellError("a loss of embeddings needs a model that shows them; this one does not")
    return model


def loss_at(
    model: Classifier,
    loss: AnyLoss,
    points: Tensor,
    images: Tensor,
    labels: Tensor,
    batch: Batch,
) -> Tensor:
    """Return an untargeted loss `[n]` at points `[n,3,h,w]` of images, without gradients.

    Raises:
        CellError: What the model returns is not a number.
    """
    assert not isinstance(loss, Lean), "crops differ from step to step, so that none ranks"
    if not isinstance(loss, Drift | Spoken):
        return loss(logits_at(model, points, batch), labels, labels)
    shown = embedding(model) if isinstance(loss, Drift) else None

    def seen(part: slice) -> Tensor:
        state = {"point": points[part], "label": labels[part]}
        if shown is not None:
            state["reference"] = shown.embed(images[part])
        whole = Batch(len(points[part]))
        logits, losses, _ = evaluate(model, loss, state, whole, eot=1, backward=False)
        finite(logits)
        return losses

    with torch.no_grad():
        return torch.cat(batch.parts(len(points), seen))


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
