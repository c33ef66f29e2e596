"""What the loop of an attack costs beside the model."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import cross_entropy
from bench.attacks.pgd import PgdAscent
from bench.core.types import Budget
from tests.perf.pairs import in_turn, ratio, spread
from tests.perf.subjects import DEVICE, Subject, embedded, timed, true_size

STEPS, ROUNDS = 6, 5
ASCENTS: dict[str, Ascent] = {"apgd": Apgd(STEPS, 0.75), "pgd": PgdAscent(STEPS, 2.5, True)}
CPU_BATCH = {"ViT-B-32": 4, "CLIP": 128}


class Clock:
    """Adds up the time inside a model's passes, forward and backward."""

    def __init__(self, subject: Subject) -> None:
        self.model = subject.model
        self.seconds = 0.0

    def forward(self, images: Tensor) -> Tensor:
        found: list[Tensor] = []
        self.seconds += timed(lambda: found.append(self.model(images)))
        return found[0]

    def __enter__(self) -> "Clock":
        self.gradient = torch.autograd.grad

        def clocked(*args: object, **options: object) -> tuple[Tensor, ...]:
            found: list[tuple[Tensor, ...]] = []
            self.seconds += timed(lambda: found.append(self.gradient(*args, **options)))  # type: ignore[arg-type]
            return found[0]

        torch.autograd.grad = clocked  # type: ignore[assignment]
        return self

    def __exit__(self, *error: object) -> None:
        torch.autograd.grad = self.gradient


def shares() -> Iterator[dict[str, object]]:
    """Share of wall time outside the model, and images a second against a bare loop."""
    for subject in (embedded("CLIP", 256), true_size(256 if DEVICE.type == "cuda" else 4)):
        batch = 256 if DEVICE.type == "cuda" else CPU_BATCH[subject.name]
        subject = subject.some(batch)
        for name, ascent in ASCENTS.items():
            outside: list[float] = []
            bare, ours, _ = in_turn(
                ROUNDS,
                lambda: _bare(subject),  # noqa: B023
                lambda: attack(ascent, subject),  # noqa: B023
                lambda: outside.append(_outside(ascent, subject)),  # noqa: B023
            )
            yield {
                "model": subject.name,
                "attack": name,
                "batch": batch,
                "steps": STEPS,
                "rounds": ROUNDS,
                "time outside the model": spread(outside[1:]).text(".1%"),
                "native images x steps / s": round(batch * STEPS / min(ours), 1),
                "bare loop images x steps / s": round(batch * STEPS / min(bare), 1),
                "native / bare loop": ratio(bare, ours).text(".1%"),
            }


def _outside(ascent: Ascent, subject: Subject) -> float:
    with Clock(subject) as clock:
        total = timed(lambda: attack(ascent, replace(subject, model=clock.forward)))
    return 1 - clock.seconds / total


def attack(ascent: Ascent, subject: Subject) -> None:
    """Run an ascent with all its steps on a subject's images, in one batch."""
    run = NativeAttack(ascent, cross_entropy, len(subject.images))
    run(
        subject.model, subject.images, subject.labels, Budget(4 / 255), mode="full",
        seeds=subject.seeds,
    )  # fmt: skip


def _bare(subject: Subject) -> None:
    """Do what the model does for an attack: so many passes both ways, and one forward."""
    for _ in range(STEPS):
        points = subject.images.clone().requires_grad_(True)
        loss = cross_entropy(subject.model(points), subject.labels, subject.labels).sum()
        torch.autograd.grad(loss, points)
    with torch.no_grad():
        subject.model(subject.images)
