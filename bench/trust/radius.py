"""Radius checks: no effect at 0, no rise of accuracy with the radius, no survivors at 128/255.

Carlini et al. 2019 (arXiv:1902.06705, section 5) and Athalye et al. 2018 (arXiv:1802.00420, section
3.1).
"""

from itertools import pairwise

from bench.core.types import Budget
from bench.stats import mcnemar
from bench.trust.findings import Finding
from bench.trust.significance import accuracy_drop, count_verdict, verdict_of
from bench.trust.subject import Effort, Subject, attack_points, correct, pgd, surviving_images

SHARES = (0.25, 0.5, 1.0, 2.0)  # of the reported radius
# images are hardly recognisable at the first radius; the second allows plain grey
HUGE = (64 / 255, 128 / 255)
LEFT = 0.05  # of images may survive, since an attack of few steps is not perfect
FEW = 2  # steps; more change nothing at radius 0


def zero_budget(subject: Subject, effort: Effort) -> Finding:
    """An attack at radius 0 gives the clean accuracy."""
    short = pgd(subject).model_copy(update={"steps": FEW})
    points = attack_points(subject, short, Budget(0.0, subject.budget.norm))
    clean, zero = correct(subject, subject.images), correct(subject, points)
    moved = float((points - subject.images).abs().max())
    gap = float(abs(clean.mean() - zero.mean()))
    p = mcnemar(clean, zero)
    return Finding(
        "zero-budget",
        "fail" if moved > 0 else verdict_of(p, gap),
        f"accuracy is {clean.mean():.1%} clean and {zero.mean():.1%} attacked at radius 0, on "
        f"{len(clean)} images; the largest change of a pixel is {moved:.2g}",
        {"clean": float(clean.mean()), "zero": float(zero.mean()), "moved": moved},
        None if moved > 0 else p,
    )


def monotone(subject: Subject, effort: Effort) -> Finding:
    """Accuracy does not rise with the radius; each radius is attacked separately."""
    clean = correct(subject, subject.images)
    eps, norm = subject.budget.eps, subject.budget.norm
    survivors = [
        surviving_images(subject, pgd(subject), clean, Budget(s * eps, norm)) for s in SHARES
    ]
    rises = [accuracy_drop(larger, smaller) for smaller, larger in pairwise(survivors)]
    rise, p = min(rises, key=lambda pair: pair[1])
    p = min(1.0, p * len(rises))
    rates = [float(found.mean()) for found in survivors]
    return Finding(
        "monotone",
        verdict_of(p, rise),
        f"at {', '.join(f'{share:g}' for share in SHARES)} times the radius, "
        f"{', '.join(f'{rate:.1%}' for rate in rates)} of {len(clean)} images survive",
        {f"at_{share:g}": rate for share, rate in zip(SHARES, rates, strict=True)},
        p,
    )


def huge_budget(subject: Subject, effort: Effort) -> Finding:
    """At a radius that allows almost any image, almost no image survives."""
    clean = correct(subject, subject.images)
    survivors = clean
    for eps in HUGE:
        survivors = surviving_images(subject, pgd(subject), survivors, _as_wide(subject, eps))
    left, of = int(survivors.sum()), int(clean.sum())
    verdict, p = count_verdict(left, of, LEFT)
    return Finding(
        "huge-budget",
        verdict,
        f"{left} of {of} images survive at 64/255 and at 128/255",
        {"left": left, "of": of},
        p,
    )


def _as_wide(subject: Subject, eps: float) -> Budget:
    """Return the budget; in L2, half the radius of a ball that contains the Linf ball."""
    norm = subject.budget.norm
    pixels = subject.images[0].numel() if len(subject.images) else 1
    return Budget(eps if norm == "linf" else eps * pixels**0.5 / 2, norm)
