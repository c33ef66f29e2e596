"""A forward pass is a function of its one image, and of what is stored of it.

Carlini et al. 2019 (arXiv:1902.06705, section 5): randomness, batches, and what is really
evaluated. Croce and Hein 2020 (arXiv:2003.01690) average over passes where a model is random.
"""

import torch
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.stored_images import decode, encode
from bench.stats import mcnemar
from bench.trust.findings import Finding
from bench.trust.significance import Correct, count_verdict, verdict_of
from bench.trust.subject import Effort, Subject, correct, logits_of, pgd_points

NUMERICS = 1e-3  # of the logits' spread: what another order of sums may change in float32
USUAL = 0.02  # share of images beyond it that is no finding
ALONE = 16  # images that are also looked at one by one
ROUNDING = 1e-5  # of a pixel, by which a stored point may leave its ball: float32's


def stochastic(subject: Subject, effort: Effort) -> Finding:
    """Two passes over the same images give the same logits."""
    first, second = (logits_of(subject, subject.images) for _ in range(2))
    other, flipped, count = _differ(first, second), _flipped(first, second), len(first)
    verdict = count_verdict(other, count, USUAL)
    eot = subject.reported.eot
    if verdict == "fail" and eot > 1:
        verdict = "warn"
    return Finding(
        "stochastic",
        verdict,
        f"two passes differ for {other} of {count} images, in the answer for {flipped}; the "
        f"reported attack averages over {eot} passes per step",
        {"differ": other, "flipped": flipped, "images": count, "eot": eot},
    )


def batch(subject: Subject, effort: Effort) -> Finding:
    """An image's logits do not depend on what else is in its batch."""
    images = subject.images[:ALONE]
    with torch.no_grad():
        alone = torch.cat([subject.model(image[None].clone()) for image in images])
        again = torch.cat([subject.model(image[None].clone()) for image in images])
        together = subject.model(images.clone())
        turned = subject.model(images.flip(0).clone()).flip(0)
        doubled = subject.model(images.repeat_interleave(2, dim=0))[::2]
    count = len(images)
    if _differ(alone, again):
        return Finding("batch", "skip", "the model is random: see `stochastic`")
    other = max(_differ(alone, logits) for logits in (together, turned, doubled))
    flipped = max(_flipped(alone, logits) for logits in (together, turned, doubled))
    return Finding(
        "batch",
        count_verdict(other, count, USUAL),
        f"in a batch, in another order or beside a copy, {other} of {count} images get other "
        f"logits than alone, and {flipped} another answer",
        {"differ": other, "flipped": flipped, "images": count},
    )


def box(subject: Subject, effort: Effort) -> Finding:
    """Nothing is evaluated outside the box or the budget, in the precision that is stored."""
    given = subject.images.clone()
    with torch.no_grad():
        subject.batch.parts(len(given), lambda part: subject.model(given[part]))
    written = float((given - subject.images).abs().max())
    points = pgd_points(subject)
    kept = encode(points, subject.images, subject.storage)
    points = decode(kept, subject.images, subject.budget, subject.storage)
    eps, norm = subject.budget.eps, subject.budget.norm
    beyond = float(length(points - subject.images, norm).max()) - eps
    told = subject.reported.distance - eps
    outside = max(0.0, float(torch.maximum(points - 1, -points).max()))
    slack = ROUNDING * (1 + eps)
    bad = written > 0 or outside > slack
    moved = max(told, beyond) > slack
    if moved and subject.storage == "float16":  # 8-bit forms move pixels, as papers' PNGs do
        bad = True
    return Finding(
        "box",
        "fail" if bad else "warn" if moved else "pass",
        f"the model changes its input by {written:.2g}; reported points lie {max(told, 0):.2g} and "
        f"points kept in {subject.storage} {max(beyond, 0):.2g} beyond the radius, "
        f"{outside:.2g} beyond [0,1]",
        {"written": written, "told": told, "beyond": beyond, "outside": outside},
    )


def eight_bit(subject: Subject, effort: Effort) -> Finding:
    """Adversarial images are as adversarial once they are rounded to 8 bits."""
    points = pgd_points(subject)
    plain = correct(subject, points)
    rounded = correct(subject, points.mul(255).round() / 255)
    return _agree("eight-bit", "in float32", plain, "rounded to 8 bits", rounded)


def precision(subject: Subject, effort: Effort) -> Finding:
    """In bfloat16 the model is as often right, on attacked images too."""
    points = pgd_points(subject)
    full = correct(subject, torch.cat([subject.images, points]), subject.labels.repeat(2))
    with torch.autocast(points.device.type, torch.bfloat16):
        low = correct(subject, torch.cat([subject.images, points]), subject.labels.repeat(2))
    return _agree("precision", "in float32", full, "in bfloat16", low)


def _agree(check: str, this: str, first: Correct, that: str, second: Correct) -> Finding:
    """Compare accuracies that may differ in either way."""
    gap = float(abs(first.mean() - second.mean()))
    return Finding(
        check,
        verdict_of(mcnemar(first, second), gap),
        f"{first.mean():.1%} right {this}, {second.mean():.1%} {that}, of {len(first)} images",
        {"first": float(first.mean()), "second": float(second.mean()), "images": len(first)},
    )


def _differ(first: Tensor, second: Tensor) -> int:
    """Return for how many images logits differ by more than numerics."""
    spread = first.std(dim=1, unbiased=False).clamp_min(1e-12)
    return int(((first - second).abs().amax(dim=1) > NUMERICS * spread).sum())


def _flipped(first: Tensor, second: Tensor) -> int:
    return int((first.argmax(dim=1) != second.argmax(dim=1)).sum())
