"""Checks of the gradient: it exists, is finite and points where the loss rises.

Athalye et al. 2018 (arXiv:1802.00420): shattered, stochastic and vanishing gradients. Pintor et al.
2022 (arXiv:2106.09947): indicators of attack failures. All checks use only images that the model
classifies correctly, since the others need no attack.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.attacks.balls import project, steepest
from bench.attacks.loss import LogitLoss
from bench.attacks.losses import cross_entropy, margin
from bench.core.errors import CellError, CellSkip
from bench.trust.findings import Finding
from bench.trust.significance import Correct, count_verdict
from bench.trust.subject import Effort, Subject, correct, logits_of, pgd_points, subset

FLAT = 1e-30  # near the smallest float32, where sign and size are meaningless
USUAL = 0.02  # share of images with zero gradients that an honest model may have
SMALL_STEP = 1 / 8  # of the radius: fine enough to be linear, coarse enough for float32
WITHIN = (0.5, 2.0)  # range of measured / predicted change that curvature explains
CURVED = 0.1  # share of images outside `WITHIN` that an honest model may have
BEATEN = 0.1  # share of images where a random direction may beat the gradient
DRAWS = 4  # passes over which gradients and margins of random defences are averaged
DESCENDED = 0.05  # share of images where an attack may end below its start
MARGIN = margin(torch.inf)


def gradients(subject: Subject, effort: Effort) -> Finding:
    """The gradient of the margin is finite and not zero."""
    some = correct_images(subject)
    gradient = gradient_of(some, MARGIN)
    largest = gradient.flatten(1).abs().amax(dim=1)
    bad = int((~torch.isfinite(gradient).flatten(1).all(dim=1)).sum())
    flat, count = int((largest < FLAT).sum()), len(largest)
    verdict, p = count_verdict(flat, count, USUAL)
    return Finding(
        "gradients",
        "fail" if bad else verdict,
        f"the gradient is zero or vanishing for {flat} of {count} images and NaN or infinite for "
        f"{bad}",
        {"flat": flat, "not_numbers": bad, "images": count},
        None if bad else p,
    )


def saturation(subject: Subject, effort: Effort) -> Finding:
    """The softmax leaves the cross-entropy a gradient in float32."""
    some = correct_images(subject)
    logits = logits_of(some, some.images)
    ones = torch.allclose(logits.sum(dim=1), torch.ones_like(logits[:, 0]), atol=1e-4)
    flat = int((gradient_of(some, cross_entropy).flatten(1).abs().amax(dim=1) < FLAT).sum())
    top = logits.topk(2, dim=1).values
    gap, count = float((top[:, 0] - top[:, 1]).median()), len(logits)
    probabilities = bool(ones and (logits >= 0).all())
    verdict, p = count_verdict(flat, count, USUAL)
    remark = "; the outputs are probabilities, not logits" if probabilities else ""
    return Finding(
        "saturation",
        "fail" if probabilities else verdict,
        f"the cross-entropy's gradient is zero in float32 for {flat} of {count} images; the "
        f"median lead of the highest logit is {gap:.3g}{remark}",
        {"flat": flat, "images": count, "gap": gap, "probabilities": float(probabilities)},
        None if probabilities else p,
    )


def finite_differences(subject: Subject, effort: Effort) -> Finding:
    """A small step along the gradient changes the margin as the gradient predicts."""
    some = correct_images(subject)
    gradient = gradient_of(some, MARGIN)
    direction = steepest(gradient, some.budget.norm)
    step = SMALL_STEP * some.budget.eps
    predicted = 2 * step * (gradient * direction).flatten(1).sum(dim=1)
    found = margins_at(some, some.images + step * direction) - margins_at(
        some, some.images - step * direction
    )
    share = found / predicted.clamp_min(FLAT)
    off, count = int(((share < WITHIN[0]) | (share > WITHIN[1])).sum()), len(share)
    verdict, p = count_verdict(off, count, CURVED)
    return Finding(
        "finite-differences",
        verdict,
        f"a step of {255 * step:.2g}/255 changes the margin by less than {WITHIN[0]:g} or more "
        f"than {WITHIN[1]:g} times the predicted change for {off} of {count} images; the median "
        f"is {float(share.median()):.2f} times",
        {"off": off, "images": count, "median": float(share.median())},
        p,
    )


def random_directions(subject: Subject, effort: Effort) -> Finding:
    """A step of the full radius along the gradient raises the margin most."""
    some = correct_images(subject)
    budget = some.budget
    direction = steepest(gradient_of(some, MARGIN), budget.norm)
    ours = margins_at(some, project(some.images + budget.eps * direction, some.images, budget))
    best = torch.full_like(ours, -torch.inf)
    generator = torch.Generator().manual_seed(0)
    for _ in range(effort.directions):
        drawn = torch.randn(some.images.shape, generator=generator).to(some.images)
        other = some.images + budget.eps * steepest(drawn, budget.norm)
        best = torch.maximum(best, margins_at(some, project(other, some.images, budget)))
    beaten, count = int((best >= ours).sum()), len(ours)
    verdict, p = count_verdict(beaten, count, BEATEN)
    return Finding(
        "random-directions",
        verdict,
        f"the best of {effort.directions} random directions raises the margin at least as much as "
        f"the gradient for {beaten} of {count} images",
        {"beaten": beaten, "images": count, "directions": effort.directions},
        p,
    )


def ascent(subject: Subject, effort: Effort) -> Finding:
    """PGD ends at a loss at least as high as that of the clean image."""
    which = correct(subject, subject.images)
    some = _images_in(subject, which)
    before = margins_at(some, some.images)
    if not torch.equal(before, margins_at(some, some.images)):
        raise CellSkip("the model is random: see `stochastic`")
    on = torch.from_numpy(which).to(subject.images.device)
    after = margins_at(some, pgd_points(subject)[on])
    lower, count = int((after < before).sum()), len(before)
    verdict, p = count_verdict(lower, count, DESCENDED)
    return Finding(
        "ascent",
        verdict,
        f"PGD ends at a lower margin than the clean image's for {lower} of {count} images",
        {"sunk": lower, "images": count},
        p,
    )


def correct_images(subject: Subject) -> Subject:
    """Return the subject with the images that the model classifies correctly.

    Raises:
        CellSkip: There are none.
    """
    return _images_in(subject, correct(subject, subject.images))


def _images_in(subject: Subject, which: Correct) -> Subject:
    if not which.any():
        raise CellSkip(f"the model gets none of {len(subject.images)} images right")
    return subset(subject, which)


def gradient_of(subject: Subject, loss: LogitLoss) -> Tensor:
    """Return the gradient `[b,3,h,w]` of a loss at the images.

    Raises:
        CellError: The logits have no gradient with respect to the images.
    """

    def of(part: slice) -> Tensor:
        points = subject.images[part].clone().requires_grad_()
        labels = subject.labels[part]
        with torch.enable_grad():
            total = loss(subject.model(points), labels, labels).sum()
        if not total.requires_grad:
            raise CellError("the model's logits have no gradient with respect to the images")
        (found,) = torch.autograd.grad(total, points, allow_unused=True)
        if found is None:
            raise CellError("the model's logits have no gradient with respect to the images")
        return found

    return _mean(subject, lambda: torch.cat(subject.batch.parts(len(subject.images), of)))


def margins_at(subject: Subject, points: Tensor) -> Tensor:
    """Return the margin by which the model is wrong at points `[b,3,h,w]`, `[b]`."""
    return _mean(
        subject, lambda: MARGIN(logits_of(subject, points), subject.labels, subject.labels)
    )


def _mean(subject: Subject, values: Callable[[], Tensor]) -> Tensor:
    """Return values, or their mean over several passes behind a random defence.

    The passes draw the same random numbers at each call, so means at two points can be compared.
    """
    if subject.defence is None or not subject.defence.random:
        return values()
    drawn, device = [], subject.images.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for seed in range(DRAWS):
            torch.manual_seed(seed)
            drawn.append(values())
    return torch.stack(drawn).mean(dim=0)
