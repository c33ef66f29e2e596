"""Native attacks against the reference implementations, and proposals in lower precisions."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.core.types import Budget, Classifier
from bench.models.lowered_precision import in_bfloat16, matmul_precision
from bench.models.zero_shot import ZeroShotClassifier
from bench.suite.specs import ApgdCe, Precision, TorchAttacks, eps_value
from tests.gpu.scale import Row, Scale, classifier
from tests.perf.subjects import DEVICE, Subject, embedded
from tests.perf.versus import Pair, apgd_pair, compare, fare_pair

_EPS = "1/255"
_BUDGETS = ("1/255", "2/255", "4/255")


def against(scale: Scale) -> Iterator[Row]:
    """Wall times and robust images of both, with TF32 in both; fewer images where runs are many."""
    steps = scale.iterations
    subject, half = scale.subject(scale.images), scale.subject(max(2, scale.images // 4))
    with matmul_precision("tf32"):
        yield compare(subject, "apgd-ce", [(_EPS, apgd_pair(_EPS, steps))])
        yield compare(subject, "apgd-ce, torchattacks", [(_EPS, _torchattacks_pair(steps))])
        yield compare(subject, "nested", [(eps, apgd_pair(eps, steps)) for eps in _BUDGETS])
        yield compare(half, "fare-paper", [(_EPS, fare_pair(_EPS, steps))])


def _torchattacks_pair(steps: int) -> Pair:
    arguments = {"steps": steps, "loss": "ce"}
    reference = TorchAttacks(kind="torchattacks", eps=(_EPS,), attack="APGD", args=arguments)
    return apgd_pair(_EPS, steps)[0], reference


def agreement(scale: Scale) -> Iterator[Row]:
    """Outcomes of proposals in bf16 and TF32 beside those in fp32; fp32 decides on all."""
    for subject in (embedded("FARE", scale.images), scale.subject(scale.images)):
        model = classifier(subject)
        exact = _proposals(subject, model, "fp32", scale)
        with torch.no_grad():
            right = model(exact).argmax(dim=1) == subject.labels
        for precision in ("tf32", "bf16"):
            tower = in_bfloat16(model.model, DEVICE) if precision == "bf16" else model.model
            lowered = ZeroShotClassifier(tower, model.head)
            points = _proposals(subject, lowered, precision, scale)
            with torch.no_grad():
                judged = model(points).argmax(dim=1) == subject.labels
                with matmul_precision(precision):
                    own = lowered(points).argmax(dim=1) == subject.labels
            yield {
                "model": subject.name,
                "precision": precision,
                "steps": scale.iterations,
                "eps": _EPS,
                "images": len(subject.images),
                "robust, fp32": int(right.sum()),
                "robust, proposed lower": int(judged.sum()),
                "same outcome": int((judged == right).sum()),
                "wrong only in the lower precision": int((judged & ~own).sum()),
            }


def _proposals(subject: Subject, model: Classifier, precision: Precision, scale: Scale) -> Tensor:
    spec = ApgdCe(kind="apgd-ce", eps=(_EPS,), steps=scale.iterations)
    budget = Budget(eps_value(_EPS))
    with matmul_precision(precision):
        points = build_attack(spec, batch=scale.batch)(
            model, subject.images, subject.labels, budget, mode="success", seeds=subject.seeds
        )
    return project(points, subject.images, budget)
