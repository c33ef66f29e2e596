"""Checks of models behind test-time defences: whether attacks know the defence and can follow it.

Athalye et al. 2018 (arXiv:1802.00420): gradients that a defence hides, and random defences. Tramer
et al. 2020 (arXiv:2002.08347): attacks that know the defence. Croce et al. 2022 (arXiv:2202.13711):
test-time defences and their cost. Models without a defence are skipped.
"""

from dataclasses import replace

import torch
from torch import Tensor

from bench.attacks.balls import project, steepest
from bench.core.errors import CellSkip
from bench.suite.specs import ApgdCe
from bench.suite.specs.model_base import Gradient
from bench.trust.defence_parts import COMPONENTS, DefenceParts
from bench.trust.findings import Finding
from bench.trust.forward_pass import differing
from bench.trust.gradients import FLAT, MARGIN, USUAL, correct_images, gradient_of, margins_at
from bench.trust.significance import accuracy_drop, count_verdict, verdict_of
from bench.trust.subject import (
    LEAST_STEPS,
    Effort,
    Subject,
    attack_points,
    correct,
    logits_of,
    pgd,
    surviving_images,
)

DRAWS = 8  # passes per step, as the preset `adaptive` averages on a model of one draw per pass
CUT = 1e-3  # of the norm of another gradient; honest gradients are larger
TWICE = 2.0  # a gradient is better if its step raises the margin this many times as much
MOSTLY = 0.5  # share of attacked images that an honest defence may leave unchanged
COUNTED = 2  # images whose forward passes are counted


def no_effect(subject: Subject, effort: Effort) -> Finding:
    """The defence changes the logits of images that were attacked on its base."""
    parts = _parts(subject)
    short = pgd(subject).model_copy(update={"steps": LEAST_STEPS})
    points = attack_points(subject, short, model=parts.base)
    base, count = replace(subject, model=parts.base), len(points)
    clean, attacked = (
        count - differing(logits_of(base, some), logits_of(subject, some))
        for some in (subject.images, points)
    )
    nothing = clean + attacked == 2 * count
    return Finding(
        "no-effect",
        "fail" if nothing else "warn" if attacked > MOSTLY * count else "pass",
        f"behind {parts.kind}, {clean} of {count} clean images and {attacked} of {count} images "
        f"attacked on {parts.base_name} have the logits of {parts.base_name}",
        {"clean": clean, "attacked": attacked, "images": count},
    )


def cost(subject: Subject, effort: Effort) -> Finding:
    """The defence computes no more than its base; at most a remark, since cost is no fault."""
    parts = _parts(subject)
    if parts.tower is None:
        raise CellSkip("forward passes are not counted in a model of your own code")
    passes = 0

    def count_gradient(gradient: Tensor) -> None:
        nonlocal passes
        passes += len(gradient)

    def count(_: object, inputs: tuple[Tensor, ...]) -> None:
        nonlocal passes
        passes += len(inputs[0])
        if inputs[0].requires_grad:
            inputs[0].register_hook(count_gradient)

    some = subject.images[:COUNTED].clone()
    handle = parts.tower.register_forward_pre_hook(count)
    try:
        with torch.no_grad():
            subject.model(some)
    finally:
        handle.remove()
    if not passes:
        raise CellSkip("the model's tower was built again, so its forward passes are not counted")
    each = passes / len(some)
    return Finding(
        "cost",
        "remark" if each > 1 else "pass",
        f"{parts.kind} costs {each:g} forwards per image (a gradient inside counts as two)",
        {"passes": each},
    )


def non_adaptive(subject: Subject, effort: Effort) -> Finding:
    """Some attack of the suite knows the defence."""
    parts = _parts(subject)
    transferred = subject.reported.transferred
    known = "without" if transferred else "with"
    return Finding(
        "non-adaptive",
        "warn" if transferred else "pass",
        f"{subject.reported.attack}: made {known} knowledge of {parts.kind}",
        {"transferred": float(transferred)},
    )


def cut_gradient(subject: Subject, effort: Effort) -> Finding:
    """No gradient that the reported attack leaves out is better than the defence's own.

    The own gradient is cut if it has almost no size, or if a step of the full radius along the
    other raises the margin by more.
    """
    parts = _parts(subject)
    left = {way: model for way, model in parts.others.items() if not _used(subject, parts, way)}
    if not left:
        return Finding(
            "cut-gradient", "pass", f"the reported attack uses every gradient of {parts.kind}"
        )
    some = correct_images(subject)
    own, *others = (
        gradient_of(replace(some, model=model), MARGIN) for model in (some.model, *left.values())
    )
    found = [
        _compared(some, parts, way, own, other, 2 * len(left))
        for way, other in zip(left, others, strict=True)
    ]
    return min(found, key=lambda each: each.p or 0.0)


def draws(subject: Subject, effort: Effort) -> Finding:
    """An attack that averages over passes breaks no more images of a random defence."""
    parts, reported = _parts(subject), subject.reported
    if not parts.random:
        raise CellSkip(f"{parts.kind} is not random")
    if reported.eot >= DRAWS:
        return Finding("draws", "pass", f"the reported attack averages over {reported.eot} passes")
    steps = max(reported.steps, LEAST_STEPS)
    spec = ApgdCe(kind="apgd-ce", eps=("0",), norm=subject.budget.norm, steps=steps, eot=DRAWS)
    alone = surviving_images(subject, spec, correct(subject, subject.images))
    drop, p = accuracy_drop(reported.robust, alone)
    return Finding(
        "draws",
        verdict_of(p, drop),
        f"{parts.kind} is random; {reported.robust.mean():.1%} of {len(alone)} images survive "
        f"{reported.attack} (passes per step: {reported.eot}), {alone.mean():.1%} survive Auto-PGD "
        f"(passes per step: {DRAWS})",
        {"stood": int(reported.robust.sum()), "alone": int(alone.sum()), "images": len(alone)},
        p,
    )


def _parts(subject: Subject) -> DefenceParts:
    if subject.defence is None:
        raise CellSkip("the model has no test-time defence")
    return subject.defence


def _used(subject: Subject, parts: DefenceParts, way: Gradient) -> bool:
    """Return whether the reported attack used a gradient."""
    used = subject.reported.surrogates
    return COMPONENTS.get(way) in used or (way == "base" and parts.base_name in used)


def _rise(subject: Subject, gradient: Tensor) -> Tensor:
    """Return by how much a step along a gradient raises the margin, `[b]`."""
    budget = subject.budget
    step = budget.eps * steepest(gradient.nan_to_num(), budget.norm)
    points = project(subject.images + step, subject.images, budget)
    return margins_at(subject, points) - margins_at(subject, subject.images)


def _compared(
    subject: Subject, parts: DefenceParts, way: Gradient, own: Tensor, other: Tensor, tests: int
) -> Finding:
    """Return the finding on one other gradient.

    Args:
        subject: The subject.
        parts: Its defence.
        way: Name of the other gradient.
        own: The model's gradients, `[b,3,h,w]`.
        other: The other gradients.
        tests: Number of tests, by which p-values are multiplied.
    """
    ours, theirs = own.flatten(1), other.flatten(1)
    ratio = ours.norm(dim=1) / theirs.norm(dim=1).clamp_min(FLAT)
    small, count = int((ratio < CUT).sum()), len(ratio)
    rises = _rise(subject, own), _rise(subject, other)
    won, lost = (
        (first > TWICE * second.clamp_min(0)).cpu().numpy()
        for first, second in (rises[::-1], rises)
    )
    share, p_steps = accuracy_drop(won, lost)
    p = min(1.0, tests * min(count_verdict(small, count, USUAL)[1], p_steps))
    verdict = verdict_of(p, max(share, small / count))
    name = f"`gradient: {way}`"
    setting = f"`backward: {{without: {COMPONENTS[way]}}}`" if way in COMPONENTS else name
    return Finding(
        "cut-gradient",
        verdict,
        f"the gradient through {parts.kind} ({parts.gradient}) has less than a thousandth of the "
        f"norm of {name} for {small} of {count} images, and a median cosine of "
        f"{float(torch.cosine_similarity(ours, theirs, dim=1).median()):.2f} with it; a step along "
        f"{name} raises the margin at least twice as much for {int(won.sum())} images, along the "
        f"model's own for {int(lost.sum())}" + (f"; use {setting}" if verdict != "pass" else ""),
        {"small": small, "share": share, "images": count, "ratio": float(ratio.median())},
        p,
    )
