"""Checks of the forward pass: it depends on its image only, and on the image as it is stored.

Carlini et al. 2019 (arXiv:1902.06705, section 5): randomness, batches, and the images that are
really evaluated. Croce and Hein 2020 (arXiv:2003.01690): averaging over passes of random models.
"""

import torch
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.stored_images import decode, encode
from bench.stats import mcnemar
from bench.trust.findings import Finding
from bench.trust.significance import Correct, count_verdict, verdict_of
from bench.trust.subject import Effort, Subject, correct, logits_of, pgd_points

NUMERICS = 1e-3  # of the logits' standard deviation: float32 rounding errors are smaller
USUAL = 0.02  # share of images with larger differences that an honest model may have
ALONE = 16  # images that are also evaluated one by one
ROUNDING = 1e-5  # distance beyond the radius that float32 rounding explains


def stochastic(subject: Subject, effort: Effort) -> Finding:
    """Two passes over the same images give the same logits."""
    first, second = (logits_of(subject, subject.images) for _ in range(2))
    other, flipped, count = differing(first, second), _flipped(first, second), len(first)
    verdict, p = count_verdict(other, count, USUAL)
    eot = subject.reported.eot
    if verdict == "fail" and eot > 1:
        verdict = "warn"
    return Finding(
        "stochastic",
        verdict,
        f"two passes give different logits for {other} of {count} images and different answers "
        f"for {flipped}; the reported attack averages over {eot} passes per step",
        {"differ": other, "flipped": flipped, "images": count, "eot": eot},
        p,
    )


def batch(subject: Subject, effort: Effort) -> Finding:
    """The logits of an image do not depend on the other images of its batch."""
    images = subject.images[:ALONE]
    with torch.no_grad():
        alone = torch.cat([subject.model(image[None].clone()) for image in images])
        again = torch.cat([subject.model(image[None].clone()) for image in images])
        together = subject.model(images.clone())
        turned = subject.model(images.flip(0).clone()).flip(0)
        doubled = subject.model(images.repeat_interleave(2, dim=0))[::2]
    count = len(images)
    if differing(alone, again):
        return Finding("batch", "skip", "the model is random: see `stochastic`")
    other = max(differing(alone, logits) for logits in (together, turned, doubled))
    flipped = max(_flipped(alone, logits) for logits in (together, turned, doubled))
    verdict, p = count_verdict(other, count, USUAL)
    return Finding(
        "batch",
        verdict,
        f"in a batch, in another order or beside a copy, {other} of {count} images have other "
        f"logits than alone, and {flipped} another answer",
        {"differ": other, "flipped": flipped, "images": count},
        p,
    )


def box(subject: Subject, effort: Effort) -> Finding:
    """Evaluated images are within the radius and [0,1], as stored; the input is unchanged."""
    given = subject.images.clone()
    with torch.no_grad():
        subject.batch.parts(len(given), lambda part: subject.model(given[part]))
    written = float((given - subject.images).abs().max())
    points = pgd_points(subject)
    stored = encode(points, subject.images, subject.storage)
    points = decode(stored, subject.images, subject.budget, subject.storage)
    eps, norm = subject.budget.eps, subject.budget.norm
    beyond = float(length(points - subject.images, norm).max()) - eps
    excess = subject.reported.distance - eps
    outside = max(0.0, float(torch.maximum(points - 1, -points).max()))
    slack = ROUNDING * (1 + eps)
    bad = written > 0 or outside > slack
    moved = max(excess, beyond) > slack
    if moved and subject.storage == "float16":  # only rounding to 8 bits may move pixels
        bad = True
    return Finding(
        "box",
        "fail" if bad else "warn" if moved else "pass",
        f"the model changes its input by {written:.2g}; reported images are "
        f"{max(excess, 0):.2g} and images stored as {subject.storage} {max(beyond, 0):.2g} beyond "
        f"the radius, and {outside:.2g} beyond [0,1]",
        {"written": written, "told": excess, "beyond": beyond, "outside": outside},
    )


def eight_bit(subject: Subject, effort: Effort) -> Finding:
    """Rounding adversarial images to 8 bits does not change the accuracy."""
    points = pgd_points(subject)
    unrounded = correct(subject, points)
    rounded = correct(subject, points.mul(255).round() / 255)
    return _agree("eight-bit", "in float32", unrounded, "rounded to 8 bits", rounded)


def precision(subject: Subject, effort: Effort) -> Finding:
    """Accuracy in bfloat16 equals accuracy in float32, on clean and adversarial images."""
    points = pgd_points(subject)
    full = correct(subject, torch.cat([subject.images, points]), subject.labels.repeat(2))
    with torch.autocast(points.device.type, torch.bfloat16):
        low = correct(subject, torch.cat([subject.images, points]), subject.labels.repeat(2))
    return _agree("precision", "in float32", full, "in bfloat16", low)


def _agree(check: str, this: str, first: Correct, that: str, second: Correct) -> Finding:
    """Return the finding on two accuracies that should be equal."""
    gap, p = float(abs(first.mean() - second.mean())), mcnemar(first, second)
    return Finding(
        check,
        verdict_of(p, gap),
        f"accuracy is {first.mean():.1%} {this} and {second.mean():.1%} {that}, on "
        f"{len(first)} images",
        {"first": float(first.mean()), "second": float(second.mean()), "images": len(first)},
        p,
    )


def differing(first: Tensor, second: Tensor) -> int:
    """Return the number of images whose logits differ by more than rounding errors."""
    spread = first.std(dim=1, unbiased=False).clamp_min(1e-12)
    return int(((first - second).abs().amax(dim=1) > NUMERICS * spread).sum())


def _flipped(first: Tensor, second: Tensor) -> int:
    return int((first.argmax(dim=1) != second.argmax(dim=1)).sum())
