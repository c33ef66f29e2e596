"""Native attacks against pyautoattack at equal iterations: wall times and robust accuracies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.attacks.library_chunks import as_module
from bench.attacks.query_counter import QueryCounter
from bench.core.deadline import Deadline
from bench.core.types import Budget
from bench.models.batch_size import batch_for
from bench.suite.specs import AnyAttack, ApgdCe, ApgdT, Ensemble, PyAutoAttack, eps_value
from tests.perf.subjects import (
    DEVICE,
    EMBEDDED,
    TRUE_SIZE,
    Subject,
    embedded,
    timed,
    true_size,
)

Pair = tuple[AnyAttack, AnyAttack]  # the native attack, and its reference
Runs = Sequence[tuple[str, Pair]]  # by budget, the smallest first
STEPS, ROUNDS = 100, 2
CHUNK = 100


def apgd(samples: int, sized: int) -> Iterator[dict[str, object]]:
    """APGD-CE, one run of 100 steps; at 8/255 the small CLIP falls as a large one does at 4/255."""
    budgets = {"CLIP": ("2/255", "4/255", "8/255")}
    for subject in _subjects(samples, sized):
        for eps in budgets.get(subject.name, ("4/255",)):
            yield compare(subject, "apgd-ce", [(eps, apgd_pair(eps))])


def fare(samples: int, sized: int) -> Iterator[dict[str, object]]:
    """The preset fare-paper: APGD-CE with 5 restarts, then APGD-T."""
    for subject in _subjects(samples // 2, sized // 2):
        yield compare(subject, "fare-paper", [("4/255", fare_pair("4/255"))])


def nested(samples: int, sized: int) -> Iterator[dict[str, object]]:
    """APGD-CE at three budgets: natively, each attacks what the smaller ones left."""
    for subject in _subjects(samples // 2, sized // 2):
        budgets = ("1/255", "2/255", "4/255")
        yield compare(subject, "apgd-ce nested", [(eps, apgd_pair(eps)) for eps in budgets])


def apgd_pair(eps: str, steps: int = STEPS) -> Pair:
    """Return APGD-CE with its reference."""
    native = ApgdCe(kind="apgd-ce", eps=(eps,), steps=steps)
    return native, PyAutoAttack(kind="pyautoattack", eps=(eps,), steps=steps, chunk=CHUNK)


def fare_pair(eps: str, steps: int = STEPS) -> Pair:
    """Return the preset fare-paper with its reference."""
    members = (
        ApgdCe(kind="apgd-ce", eps=(eps,), steps=steps, restarts=5),
        ApgdT(kind="apgd-t", eps=(eps,), steps=steps),
    )
    native = Ensemble(kind="ensemble", eps=(eps,), attacks=members)
    return native, PyAutoAttack(
        kind="pyautoattack", eps=(eps,), attack=("apgd-ce", "apgd-t"), steps=steps, restarts=5,
        chunk=CHUNK,
    )  # fmt: skip


def _subjects(samples: int, sized: int) -> Iterator[Subject]:
    for name in EMBEDDED:
        yield embedded(name, samples)
    yield true_size(sized)


def compare(subject: Subject, attack: str, runs: Runs) -> dict[str, object]:
    """Return the row of a native attack and its reference, over budgets from small to large."""
    for _, pair in runs[:1]:  # so that neither pays for the first call
        for spec in pair:
            build_attack(_short(spec), batch=2)(
                subject.model, subject.images[:2], subject.labels[:2], Budget(0.01),
                mode="success", seeds=subject.seeds[:2],
            )  # fmt: skip
    rounds = 1 if subject.name == TRUE_SIZE else ROUNDS
    taken: list[tuple[_Side, _Side]] = []
    for turn in range(rounds):  # in turn, so that what else runs here meets both alike
        first = _side(subject, runs, turn % 2)
        second = _side(subject, runs, 1 - turn % 2)
        taken.append((first, second) if turn % 2 == 0 else (second, first))
    native, reference = taken[0]
    seconds = [sum(sides[at].seconds for sides in taken) / rounds for at in range(2)]
    ratios = sorted(round(theirs.seconds / ours.seconds, 1) for ours, theirs in taken)
    needed = sum(
        count * pair[0].gradients for count, (_, pair) in zip(native.robust, runs, strict=True)
    )
    return {
        "model": subject.name,
        "attack": attack,
        "eps": " ".join(eps for eps, _ in runs),
        "images": len(subject.images),
        "native robust": " ".join(map(str, native.robust)),
        "reference robust": " ".join(map(str, reference.robust)),
        "native s": round(seconds[0], 2),
        "reference s": round(seconds[1], 2),
        "speed-up": round(seconds[1] / seconds[0], 1),
        "speed-up by round": " ".join(map(str, ratios)),
        "native gradients": native.gradients,
        "reference gradients": reference.gradients,
        "upper bound": round(reference.gradients / needed, 1) if needed else "no bound",
    }


@dataclass(frozen=True, slots=True)
class _Side:
    """What one of the two came to: survivors at each budget, and gradients of an image."""

    robust: list[int]
    seconds: float
    gradients: int


def _side(subject: Subject, runs: Runs, which: int) -> _Side:
    """Run the native attacks (0), each on what the last one left, or the reference's (1)."""
    counted = QueryCounter(as_module(subject.model), Deadline(None))
    watched = replace(subject, model=counted)
    everything = standing = torch.arange(len(subject.images), device=DEVICE)
    robust, seconds = [], 0.0
    for eps, pair in runs:
        rows = standing if which == 0 else everything
        if not len(rows):  # a smaller budget broke them all
            robust.append(0)
            continue
        held: list[Tensor] = []
        seconds += timed(lambda: held.append(_robust(watched, pair[which], eps, rows)))  # noqa: B023
        standing = rows[held[0]]
        robust.append(len(standing))
    return _Side(robust, seconds, counted.backwards)


def _robust(subject: Subject, spec: AnyAttack, eps: str, rows: Tensor) -> Tensor:
    images, labels, budget = subject.images[rows], subject.labels[rows], Budget(eps_value(eps))
    batch = batch_for(DEVICE, *images.shape[-2:], lambda part: _both_ways(subject, part))
    seeds = [subject.seeds[row] for row in rows.tolist()]
    points = build_attack(spec, batch=batch)(
        subject.model, images, labels, budget, mode="success", seeds=seeds
    )
    with torch.no_grad():
        parts = project(points, images, budget).split(batch.size)
        predicted = torch.cat([subject.model(part).argmax(dim=1) for part in parts])
    return predicted == labels


def _both_ways(subject: Subject, part: slice) -> None:
    shape = (part.stop - part.start, *subject.images.shape[1:])
    points = torch.rand(shape, device=DEVICE, requires_grad=True)
    torch.autograd.grad(subject.model(points).sum(), points)


def _short(spec: AnyAttack) -> AnyAttack:
    if isinstance(spec, Ensemble):
        return spec.model_copy(update={"attacks": tuple(_short(one) for one in spec.attacks)})
    return spec.model_copy(update={"steps": 1})
