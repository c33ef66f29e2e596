"""What the checks look at: a model with a dataset's images, and what was reported of them."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.attacks.passes import logits_at
from bench.core.types import Budget, Classifier, Mode
from bench.models.batch_size import Batch
from bench.suite.specs import AnyAttack, Pgd, Storage
from bench.trust.findings import Finding
from bench.trust.reported_number import Reported
from bench.trust.significance import Correct, accuracy_drop, verdict_of

LEAST_STEPS = 10  # less is no attack


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model on a dataset; equal to itself alone, so that what is crafted on it can be kept.

    Attributes:
        model: Images `[b,3,h,w]` in [0,1] to logits `[b,k]`.
        images: `[n,3,h,w]` in [0,1], those of the reported number.
        labels: `[n]`.
        budget: Where the number was reported.
        seeds: One per image.
        reported: The number.
        batch: Images at once.
        others: Models to transfer from, by name.
        held: Other images of the same dataset with their labels, which no number was reported of.
        storage: How the suite keeps adversarial images.
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

    def first(self, count: int) -> "Subject":
        """Return the same with at most so many images, and as many others."""
        held_out = self.held_out and (self.held_out[0][:count], self.held_out[1][:count])
        return replace(
            self, images=self.images[:count], labels=self.labels[:count], held_out=held_out,
            seeds=self.seeds[:count],
            reported=replace(self.reported, robust=self.reported.robust[:count]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard the checks try.

    Attributes:
        images: How many, at most.
        steps: Times the steps of the reported attack.
        restarts: Runs from other starts.
        draws: Random points.
        queries: Of Square.
        directions: Random ones beside the gradient's.
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
    """Return the logits `[b,k]`.

    Raises:
        CellError: One is not a number.
    """
    # a model that writes on its input shall not change ours
    return logits_at(lambda part: subject.model(part.clone()), points, subject.batch)


def correct(subject: Subject, points: Tensor, labels: Tensor | None = None) -> Correct:
    """Return per point `[b,3,h,w]` whether the model gives its label; the images' own if None."""
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
    """Return the points that an attack finds, on the subject's own model unless told another."""
    ball = budget or subject.budget
    images = subject.images.clone()  # a model that writes on its input shall not change ours
    proposal = build_attack(attack, batch=subject.batch)(
        model or subject.model, images, subject.labels, ball, mode=mode, seeds=subject.seeds
    )
    return project(proposal.detach(), subject.images, ball)


def pgd(subject: Subject) -> Pgd:
    """Return PGD as long as the reported attack, and of no fewer than ten steps."""
    steps, eot = max(subject.reported.steps, LEAST_STEPS), subject.reported.eot
    return Pgd(kind="pgd", eps=("0",), norm=subject.budget.norm, steps=steps, eot=eot)


@lru_cache(maxsize=1)  # several checks look at the same points
def pgd_points(subject: Subject) -> Tensor:
    """Return the points that PGD finds for all images, gone on with where they fool the model."""
    return attack_points(subject, pgd(subject))


def surviving_images(
    subject: Subject, attack: AnyAttack, start: Correct, budget: Budget | None = None
) -> Correct:
    """Return which of the images that stand so far stand against one more attack."""
    after = start.copy()
    if start.any():
        some = subset(subject, start)
        after[start] = correct(some, attack_points(some, attack, budget, mode="success"))
    return after


def weaker_attack_finding(
    check: str, what: str, subject: Subject, after: Correct, **numbers: int
) -> Finding:
    """Return what comes of another attacker: those who know less break nothing more.

    Args:
        check: Its name.
        what: What breaks images, in words up to the verb.
        subject: What was looked at.
        after: Which of all images stand against both.
        numbers: What it took, for the evidence.
    """
    start = subject.reported.robust
    drop, p = accuracy_drop(start, after)
    return Finding(
        check,
        verdict_of(p, drop),
        f"{what} {int(start.sum() - after.sum())} of the {int(start.sum())} images "
        f"(of {len(start)}) that {subject.reported.attack} left",
        {"stood": int(start.sum()), "stand": int(after.sum()), **numbers},
    )


def subset(subject: Subject, which: Correct) -> Subject:
    """Return the same with some of the images alone."""
    rows = torch.from_numpy(which.nonzero()[0])
    on = rows.to(subject.images.device)
    return replace(
        subject, images=subject.images[on], labels=subject.labels[on],
        seeds=tuple(subject.seeds[row] for row in rows.tolist()),
        reported=replace(subject.reported, robust=subject.reported.robust[which]),
    )  # fmt: skip


def held_out_subject(subject: Subject) -> Subject | None:
    """Return the same with the images that no number was reported of, if there are any."""
    if subject.held_out is None or not len(subject.held_out[0]):
        return None
    images, labels = subject.held_out
    return replace(subject, images=images, labels=labels, seeds=tuple(range(len(images))))
