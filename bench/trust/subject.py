"""What the checks examine: a model with a dataset's images and their reported number."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.attacks.passes import logits_at
from bench.core.errors import CellSkip
from bench.core.types import Budget, Classifier, Mode
from bench.models.batch_size import Batch
from bench.suite.specs import AnyAttack, Pgd, Storage
from bench.trust.defence_parts import DefenceParts
from bench.trust.findings import Finding
from bench.trust.reported_number import Reported
from bench.trust.significance import Correct, accuracy_drop, verdict_of

ONE_CLASS = "the model has one class, so no attack can change its answer"
LEAST_STEPS = 10  # fewer steps make too weak an attack


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model with images of a dataset.

    Compared by identity, so that `pgd_points` can cache its images.

    Attributes:
        model: Maps images `[b,3,h,w]` in [0,1] to logits `[b,k]`.
        images: Images `[n,3,h,w]` in [0,1] of the reported number.
        labels: Labels `[n]`.
        budget: Budget of the reported number.
        seeds: One seed per image.
        reported: The reported number.
        batch: Batch size.
        others: Models to transfer from, by name.
        held_out: Other images of the same dataset with their labels; no number was reported on
            them.
        storage: How the suite stores adversarial images.
        defence: The parts of the model, if it is behind a test-time defence.
    """

    model: Classifier
    images: Tensor
    labels: Tensor
    budget: Budget
    seeds: tuple[int, ...]
    reported: Reported
    batch: Batch
    others: tuple[tuple[str, Classifier], ...] = ()
    held_out: tuple[Tensor, Tensor] | None = None
    storage: Storage = "float16"
    defence: DefenceParts | None = None

    def first(self, count: int) -> "Subject":
        """Return the subject with at most `count` images, and at most `count` held-out images."""
        held_out = self.held_out and (self.held_out[0][:count], self.held_out[1][:count])
        return replace(
            self, images=self.images[:count], labels=self.labels[:count], held_out=held_out,
            seeds=self.seeds[:count],
            reported=replace(self.reported, robust=self.reported.robust[:count]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effort:
    """Effort of the checks.

    Attributes:
        images: Largest number of images.
        steps: Factor on the steps of the reported attack.
        restarts: Number of restarts.
        draws: Number of random points.
        queries: Number of queries of Square.
        directions: Number of random directions compared with the gradient.
    """

    images: int
    steps: int
    restarts: int
    draws: int
    queries: int
    directions: int


CHEAP = Effort(images=64, steps=5, restarts=10, draws=50, queries=200, directions=10)
DEEP = Effort(images=256, steps=10, restarts=20, draws=500, queries=5000, directions=50)


def logits_of(subject: Subject, points: Tensor) -> Tensor:
    """Return the logits `[b,k]` of images `[b,3,h,w]`.

    Raises:
        CellError: A logit is NaN or infinite.
        CellSkip: The model has one class.
    """
    # clone, since the model may write on its input
    logits = logits_at(lambda part: subject.model(part.clone()), points, subject.batch)
    if logits.shape[1] == 1:
        raise CellSkip(ONE_CLASS)
    return logits


def correct(subject: Subject, points: Tensor, labels: Tensor | None = None) -> Correct:
    """Return whether the model classifies each image `[b,3,h,w]` as its label, or `labels`."""
    wanted = subject.labels if labels is None else labels
    if not len(points):
        return np.zeros(0, np.bool_)
    found: Correct = (logits_of(subject, points).argmax(dim=1) == wanted).cpu().numpy()
    return found


def attack_points(
    subject: Subject,
    attack: AnyAttack,
    budget: Budget | None = None,
    *,
    mode: Mode = "full",
    model: Classifier | None = None,
) -> Tensor:
    """Return the adversarial images of an attack on the subject's model, or on `model`."""
    ball = budget or subject.budget
    images = subject.images.clone()  # clone, since the model may write on its input
    proposal = build_attack(attack, batch=subject.batch)(
        model or subject.model, images, subject.labels, ball, mode=mode, seeds=subject.seeds
    )
    return project(proposal.detach(), subject.images, ball)


def pgd(subject: Subject) -> Pgd:
    """Return PGD with the steps of the reported attack, but at least `LEAST_STEPS`."""
    steps, eot = max(subject.reported.steps, LEAST_STEPS), subject.reported.eot
    return Pgd(kind="pgd", eps=("0",), norm=subject.budget.norm, steps=steps, eot=eot)


@lru_cache(maxsize=1)  # several checks use the same adversarial images
def pgd_points(subject: Subject) -> Tensor:
    """Return PGD's adversarial images for all images; it continues where the model is fooled."""
    return attack_points(subject, pgd(subject))


def surviving_images(
    subject: Subject, attack: AnyAttack, start: Correct, budget: Budget | None = None
) -> Correct:
    """Return which of the images in `start` survive an attack, too."""
    after = start.copy()
    if start.any():
        some = subset(subject, start)
        after[start] = correct(some, attack_points(some, attack, budget, mode="success"))
    return after


def weaker_attack_finding(
    check: str, what: str, subject: Subject, after: Correct, **numbers: int
) -> Finding:
    """Return the finding on a weaker attack, which should break no image that survived.

    Args:
        check: Name of the check.
        what: What breaks images, as a phrase with its verb.
        subject: The examined subject.
        after: Which of all images survive both attacks.
        numbers: Settings of the attack, for the finding's numbers.
    """
    start = subject.reported.robust
    drop, p = accuracy_drop(start, after)
    return Finding(
        check,
        verdict_of(p, drop),
        f"{what} {int(start.sum() - after.sum())} of the {int(start.sum())} images "
        f"(of {len(start)}) that survive {subject.reported.attack}",
        {"stood": int(start.sum()), "stand": int(after.sum()), **numbers},
        p,
    )


def subset(subject: Subject, which: Correct) -> Subject:
    """Return the subject with only the images in `which`."""
    rows = torch.from_numpy(which.nonzero()[0])
    on = rows.to(subject.images.device)
    return replace(
        subject, images=subject.images[on], labels=subject.labels[on],
        seeds=tuple(subject.seeds[row] for row in rows.tolist()),
        reported=replace(subject.reported, robust=subject.reported.robust[which]),
    )  # fmt: skip


def held_out_subject(subject: Subject) -> Subject | None:
    """Return the subject with its held-out images; None if there are none."""
    if subject.held_out is None or not len(subject.held_out[0]):
        return None
    images, labels = subject.held_out
    return replace(subject, images=images, labels=labels, seeds=tuple(range(len(images))))
