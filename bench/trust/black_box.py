"""Weaker attackers: a black-box attack that beats a white-box attack reveals masked gradients.

Athalye et al. 2018 (arXiv:1802.00420, section 3.1).
"""

from typing import cast

from bench.attacks.pyautoattack_adapter import library_warnings
from bench.attacks.surrogate import BpdaModel
from bench.core.errors import CellSkip
from bench.core.types import EmbeddingClassifier
from bench.suite.specs import ApgdCe, PyAutoAttack
from bench.trust.findings import Finding
from bench.trust.significance import accuracy_drop, verdict_of
from bench.trust.subject import (
    Effort,
    Subject,
    attack_points,
    correct,
    subset,
    surviving_images,
    weaker_attack_finding,
)

STEPS = 20  # of Auto-PGD here; most images that fall do so within 20 steps


def transferred(subject: Subject, effort: Effort) -> Finding:
    """A white-box attack leaves a transfer number unchanged."""
    reported = subject.reported
    if not reported.transferred:
        return Finding("transferred", "skip", f"{reported.attack} is a white-box attack")
    after = surviving_images(subject, _apgd(subject), reported.robust)
    drop, p = accuracy_drop(reported.robust, after)
    return Finding(
        "transferred",
        verdict_of(p, drop),
        f"{reported.robust.mean():.1%} of {len(after)} images survive {reported.attack}, "
        f"{after.mean():.1%} survive Auto-PGD on the model itself",
        {"transferred": float(reported.robust.mean()), "white_box": float(after.mean())},
        p,
    )


def transfer(subject: Subject, effort: Effort) -> Finding:
    """Images crafted on other models break no image that survives the reported attack."""
    after = subject.reported.robust.copy()
    if not subject.others:
        return Finding("transfer", "skip", "no other model to transfer from")
    for _, source in subject.others:
        if after.any():
            left = subset(subject, after)
            after[after] = correct(left, attack_points(left, _apgd(left), model=source))
    what = f"images crafted on {' and '.join(name for name, _ in subject.others)} break"
    return weaker_attack_finding("transfer", what, subject, after, images=len(after))


def stand_in(subject: Subject, effort: Effort) -> Finding:
    """The gradient of another model breaks no image that survives the reported attack.

    BPDA (Athalye et al. 2018, section 4.1): the losses are the model's own, and the gradient at its
    logits is propagated through the other model. So a gradient that the model hides does not help
    it. The attack starts from all images that the model classifies correctly, which also shows how
    low the attack alone brings the number.
    """
    if not subject.others:
        raise CellSkip("no other model whose gradient could replace the model's")
    name, source = subject.others[0]
    clean = correct(subject, subject.images)
    alone = clean.copy()
    if clean.any():
        some = subset(subject, clean)
        bpda = BpdaModel(subject.model, cast(EmbeddingClassifier, source))  # logits only
        points = attack_points(some, _apgd(some), mode="success", model=bpda)
        alone[clean] = correct(some, points)
    return weaker_attack_finding(
        "stand-in", f"Auto-PGD with the gradient of {name} breaks", subject,
        subject.reported.robust & alone,
        alone=int(alone.sum()), clean=int(clean.sum()), images=len(clean),
    )  # fmt: skip


def square(subject: Subject, effort: Effort) -> Finding:
    """Square, a black-box attack, breaks no image that survives the reported attack."""
    spec = PyAutoAttack(
        kind="pyautoattack", eps=("0",), norm=subject.budget.norm, attack="square",
        queries=effort.queries,
    )  # fmt: skip
    with library_warnings():  # hides the library's warnings; the checks here cover them
        after = surviving_images(subject, spec, subject.reported.robust)
    what = f"Square with {effort.queries} queries breaks"
    return weaker_attack_finding("square", what, subject, after, queries=effort.queries)


def _apgd(subject: Subject) -> ApgdCe:
    norm, eot = subject.budget.norm, subject.reported.eot
    return ApgdCe(kind="apgd-ce", eps=("0",), norm=norm, steps=STEPS, eot=eot)
