"""Native attacks against pyautoattack at equal iterations: wall times and robust accuracies."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.memory import batch_for
from bench.specs import AnyAttack, ApgdCe, ApgdT, Ensemble, PyAutoAttack, eps_value
from bench.types import Budget
from tests.perf.subjects import DEVICE, EMBEDDED, Subject, embedded, timed, true_size

Pair = tuple[AnyAttack, AnyAttack]  # the native attack, and its reference
STEPS = 100
CHUNK = 100


def apgd(samples: int, sized: int) -> Iterator[dict[str, object]]:
    """APGD-CE, one run of 100 steps."""
    for subject in _subjects(samples, sized):
        for eps in ("2/255", "4/255") if subject.name in EMBEDDED else (_SIZED_EPS,):
            yield _compare(subject, "apgd-ce", [(eps, _apgd(eps))])


def fare(samples: int, sized: int) -> Iterator[dict[str, object]]:
    """The preset fare-paper: APGD-CE with 5 restarts, then APGD-T."""
    for subject in _subjects(samples // 4, sized // 4):
        eps = "4/255" if subject.name in EMBEDDED else _SIZED_EPS
        yield _compare(subject, "fare-paper", [(eps, _fare(eps))])


def nested(samples: int, sized: int) -> Iterator[dict[str, object]]:
    """APGD-CE at three budgets: natively, each attacks what the smaller ones left."""
    for subject in _subjects(samples, sized // 2):
        budgets = ("1/255", "2/255", "4/255")
        yield _compare(subject, "apgd-ce nested", [(eps, _apgd(eps)) for eps in budgets])


_SIZED_EPS = "4/255"


def _apgd(eps: str) -> Pair:
    native = ApgdCe(kind="apgd-ce", eps=(eps,), steps=STEPS)
    return native, PyAutoAttack(kind="pyautoattack", eps=(eps,), steps=STEPS, chunk=CHUNK)


def _fare(eps: str) -> Pair:
    members = (
        ApgdCe(kind="apgd-ce", eps=(eps,), steps=STEPS, restarts=5),
        ApgdT(kind="apgd-t", eps=(eps,), steps=STEPS),
    )
    native = Ensemble(kind="ensemble", eps=(eps,), attacks=members)
    return native, PyAutoAttack(
        kind="pyautoattack", eps=(eps,), attack=("apgd-ce", "apgd-t"), steps=STEPS, restarts=5,
        chunk=CHUNK,
    )  # fmt: skip


def _subjects(samples: int, sized: int) -> Iterator[Subject]:
    for name in EMBEDDED:
        yield embedded(name, samples)
    yield true_size(sized)


def _compare(subject: Subject, attack: str, runs: Sequence[tuple[str, Pair]]) -> dict[str, object]:
    for _, (native, reference) in runs[:1]:  # so that neither pays for the first call
        for spec in (native, reference):
            build_attack(_short(spec), batch=2)(
                subject.model, subject.images[:2], subject.labels[:2], Budget(0.01),
                mode="success", seeds=subject.seeds[:2],
            )  # fmt: skip
    with torch.no_grad():
        right = subject.model(subject.images).argmax(dim=1) == subject.labels
    found: dict[str, list[Tensor]] = {"native": [], "pyautoattack": []}
    seconds = {name: 0.0 for name in found}
    for name in found:
        standing = torch.arange(len(subject.images), device=DEVICE)
        for eps, pair in runs:
            spec = pair[0 if name == "native" else 1]
            robust = torch.zeros_like(right)
            chosen = standing

            def work() -> None:
                robust[chosen] = _robust(subject, spec, eps, chosen)  # noqa: B023

            seconds[name] += timed(work)
            found[name].append(robust)
            if name == "native":
                standing = robust.nonzero().squeeze(1)
    correct, survivors = int(right.sum()), sum(int(r.sum()) for r in found["native"])
    return {
        "model": subject.name,
        "attack": attack,
        "eps": " ".join(eps for eps, _ in runs),
        "images": len(right),
        "clean": correct,
        **{f"{name} robust": " ".join(str(int(r.sum())) for r in found[name]) for name in found},
        **{f"{name} s": round(seconds[name], 2) for name in found},
        "ratio": round(seconds["pyautoattack"] / seconds["native"], 2),
        # where every image that falls did so at once, and none cost anything
        "survivors alone": round(correct * len(runs) / max(survivors, 1), 1),
    }


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
