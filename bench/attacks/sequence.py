"""Attacks one after another: restarts, targets, and ensembles of different attacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.balls import project
from bench.attacks.engine import finite
from bench.attacks.losses import Loss
from bench.memory import Batch, as_batch
from bench.types import Attack, Budget, Classifier, Mode


@dataclass(frozen=True, slots=True)
class InSequence:
    """Runs attacks in turn.

    In mode `success` the first sees the images that the model gets right, and each other
    one what the earlier ones left; in mode `full` each runs on all, and per image the
    point of the highest `criterion` is kept.

    Attributes:
        attacks: In the order of their turns.
        criterion: What ranks their points.
        batch: Images at once when their points are judged.
    """

    attacks: tuple[Attack, ...]
    criterion: Loss
    batch: int | Batch

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
        highest = torch.full_like(images[:, 0, 0, 0], -torch.inf)
        left = torch.arange(len(images), device=images.device)
        if mode == "success":
            left = left[~self._judge(model, images, labels)[0]]
        for attack in self.attacks:
            if not len(left):
                break
            clean, truth = images[left], labels[left]
            own = [seeds[row] for row in left.tolist()]
            found = attack(model, clean, truth, budget, mode=mode, seeds=own)
            found = project(found, clean, budget)
            fooled, loss = self._judge(model, found, truth)
            if mode == "success":
                result[left] = found
                left = left[~fooled]
            else:
                better = loss > highest
                result[better], highest[better] = found[better], loss[better]
        return result

    def _judge(self, model: Classifier, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return which points fool the model, and the criterion at each."""

        def judge(part: slice) -> tuple[Tensor, Tensor]:
            logits, truth = finite(model(points[part])), labels[part]
            return logits.argmax(dim=1) != truth, self.criterion(logits, truth, truth)

        with torch.no_grad():
            parts = as_batch(self.batch).parts(len(points), judge)
        fooled, losses = zip(*parts, strict=True)
        return torch.cat(fooled), torch.cat(losses)
