"""The targets of an attack's runs: the likeliest wrong classes, or the nearest ones (MALT)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.passes import finite, raise_without_gradient
from bench.core.types import Budget, Classifier
from bench.models.batch_size import Batch


@dataclass(frozen=True, slots=True)
class Run:
    """The random start and the target class of one run.

    Attributes:
        stream: Index of the image's random stream; 0 is the image's own seed, restarts use others.
        target_rank: Target the k-th wrong class in the attack's order; 0 is untargeted.
    """

    stream: int = 0
    target_rank: int = 0


def targets_of(runs: Sequence[Run], labels: Tensor, order: Tensor | None) -> Tensor:
    """Return the target of each run for each image, `[runs,n]`; the label if it is untargeted.

    Args:
        runs: The runs.
        labels: True classes `[n]`.
        order: Wrong classes of each image in the order of their ranks, `[n,ranks]`; None if no run
            is targeted.
    """
    if order is None:
        return labels.expand(len(runs), -1)
    return torch.stack(
        [order[:, run.target_rank - 1] if run.target_rank else labels for run in runs]
    )


def wrong_classes(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return, per image, the wrong classes with the `count` largest logits, `[b,count]`."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(count, dim=1).indices


def nearest_classes(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    budget: Budget,
    *,
    candidates: int,
    eot: int,
    batch: Batch,
) -> Tensor:
    """Return, per image, its likeliest wrong classes in the order of MALT, `[n,candidates]`.

    MALT (Melamed et al. 2024, arXiv:2407.02240) takes the model as linear: the distance to a wrong
    class is the difference of the two logits over the norm of its gradient, in the dual norm of the
    budget. The nearest class is first. A class whose difference has no gradient is last.

    Each batch of images needs one forward pass and `candidates` backward passes.

    Args:
        model: The model that gives logits and gradients.
        images: Clean images `[n,3,h,w]`.
        labels: True classes `[n]`.
        budget: The budget, of which only the norm is used.
        candidates: Number of classes to order; all wrong classes if there are fewer.
        eot: Number of forward passes whose logits are averaged.
        batch: Number of images per pass.

    Raises:
        CellError: The model has no gradients, or the logits are NaN or infinite.
    """

    def ordered(part: slice) -> Tensor:
        point, own = images[part].detach().requires_grad_(True), labels[part]
        with torch.enable_grad():
            logits = finite(torch.stack([model(point) for _ in range(eot)]).mean(dim=0))
            count = min(candidates, logits.shape[1] - 1)
            classes = wrong_classes(logits.detach(), own, count)
            margins = logits.gather(1, own[:, None]) - logits.gather(1, classes)
        raise_without_gradient(logits, margins)
        distances = []
        for margin in margins.unbind(dim=1):
            gradient = torch.autograd.grad(margin.sum(), point, retain_graph=True)[0]
            length = gradient.flatten(1).norm(1 if budget.norm == "linf" else 2, dim=1)
            distances.append(torch.where(length > 0, margin.detach() / length, torch.inf))
        return classes.gather(1, torch.stack(distances, dim=1).argsort(dim=1, stable=True))

    return torch.cat(batch.parts(len(images), ordered))
