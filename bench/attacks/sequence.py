"""Attacks one after another: restarts, targets, and ensembles of different attacks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.attacks.balls import project
from bench.attacks.engine import NativeAttack
from bench.attacks.loss import Loss
from bench.attacks.passes import logits_of_passes, loss_at, share_wrong
from bench.core.types import Attack, Budget, Classifier, Mode
from bench.models.batch_size import Batch, as_batch


@dataclass(frozen=True, slots=True)
class InSequence:
    """Several attacks, run one after another.

    In mode `success` the first attack gets the images that the model classifies correctly, and
    each later attack gets the images that are still correct. In mode `full` each attack runs on
    all images, and the point with the highest `criterion` is kept per image.

    Attributes:
        attacks: The attacks, in the order in which they run.
        criterion: The loss that ranks their points in mode `full`.
        batch: Number of images per pass when the points are evaluated.
        judges: Number of passes that evaluate a point, above 1 for a random model. An image is
            broken if all misclassify its point; else the point stays that most passes misclassify.
    """

    attacks: tuple[Attack, ...]
    criterion: Loss
    batch: int | Batch
    judges: int = 1

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
        """Attack every image; see `bench.core.types.Attack`."""
        if mode == "full":
            return self._strongest(model, images, labels, budget, seeds)
        clean = self._logits(model, images)
        return self.succeed(model, images, labels, budget, seeds, clean)[0]

    def succeed(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        seeds: Sequence[int],
        clean: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Attack in mode `success`.

        `clean` are the logits `[judges,b,k]` of the clean images, which saves forward passes.

        Returns:
            The adversarial images `[b,3,h,w]`, and the share of passes in which the model
            misclassifies each, `[b]`, so that the caller need not evaluate them again.
        """
        result, wrong = images.clone(), share_wrong(clean, labels)
        for attack in _joined_runs(self.attacks):
            left = (wrong < 1).nonzero().squeeze(1)
            if not len(left):
                break
            own = [seeds[row] for row in left.tolist()]
            given = (model, images[left], labels[left], budget)
            if isinstance(attack, InSequence):
                found, share = attack.succeed(*given, own, clean[:, left])
            else:
                if isinstance(attack, NativeAttack):
                    mean = clean[:, left].mean(dim=0)
                    found = attack(*given, mode="success", seeds=own, clean=mean)
                else:
                    found = attack(*given, mode="success", seeds=own)
                found = project(found, images[left], budget)
                share = share_wrong(self._logits(model, found), labels[left])
            better = share >= wrong[left]
            result[left[better]], wrong[left[better]] = found[better], share[better]
        return result, wrong

    def _strongest(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        seeds: Sequence[int],
    ) -> Tensor:
        result = images.clone()
        highest = torch.full_like(images[:, 0, 0, 0], -torch.inf)
        given = (model, images, labels, budget)
        compared: NativeAttack | None = None  # the last attack that compared targets
        for attack in self.attacks:
            if isinstance(attack, NativeAttack) and attack.compared:
                if compared is None or not _differ_in_runs_alone(compared, attack):
                    order = attack.order_targets(*given)
                found = attack(*given, mode="full", seeds=seeds, order=order)
                compared = attack
            else:
                found = attack(*given, mode="full", seeds=seeds)
            found = project(found, images, budget)
            batch = as_batch(self.batch)
            losses = [
                loss_at(model, self.criterion, found, images, labels, seeds, batch)
                for _ in range(self.judges)
            ]
            loss = torch.stack(losses).mean(dim=0)
            better = loss > highest
            result[better], highest[better] = found[better], loss[better]
        return result

    def _logits(self, model: Classifier, points: Tensor) -> Tensor:
        return logits_of_passes(model, points, as_batch(self.batch), self.judges)


def in_sequence(
    attacks: list[Attack] | list[NativeAttack], criterion: Loss, batch: int | Batch, judges: int
) -> Attack:
    """Return the only attack, or several attacks as an `InSequence`."""
    return attacks[0] if len(attacks) == 1 else InSequence(tuple(attacks), criterion, batch, judges)


def _joined_runs(attacks: Sequence[Attack]) -> list[Attack]:
    """Merge neighbouring native attacks that differ only in their runs, to keep batches full."""
    joined: list[Attack] = []
    for attack in attacks:
        last = joined[-1] if joined else None
        if (
            isinstance(attack, NativeAttack)
            and isinstance(last, NativeAttack)
            and _differ_in_runs_alone(last, attack)
        ):
            joined[-1] = replace(last, runs=last.runs + attack.runs)
        else:
            joined.append(attack)
    return joined


def _differ_in_runs_alone(first: NativeAttack, second: NativeAttack) -> bool:
    return replace(second, runs=first.runs) == first
