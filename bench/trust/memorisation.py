"""A model that has seen the test images knows them, and not others like them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.trust.findings import Finding
from bench.trust.significance import DOUBT, FAIL, accuracy_drop, fisher_exact
from bench.trust.subject import Effort, Subject, correct, held_out_subject, pgd, surviving_images

LEAST = 16  # other images without which nothing can be said
SHIFT = 0.15  # of images that honest models may lose to a shift by one pixel, and more is odd


def held_out(subject: Subject, effort: Effort) -> Finding:
    """Other images of the same classes are right as often, clean and under attack."""
    held = held_out_subject(subject)
    if held is None or len(held.images) < LEAST:
        have = len(held.images) if held else 0
        return Finding(
            "held-out", "skip", f"{have} images are outside the sample; {LEAST} are needed"
        )
    clean, others = correct(subject, subject.images), correct(held, held.images)
    robust, other = (
        surviving_images(subject, pgd(subject), clean),
        surviving_images(held, pgd(held), others),
    )
    p = min(1.0, 2 * min(fisher_exact(clean, others), fisher_exact(robust, other)))
    return Finding(
        "held-out",
        "fail" if p < FAIL else "warn" if p < DOUBT else "pass",
        f"clean {clean.mean():.1%} of {len(clean)} test images and {others.mean():.1%} of "
        f"{len(others)} others are right, attacked {robust.mean():.1%} and {other.mean():.1%}",
        {
            "clean": float(clean.mean()),
            "clean_others": float(others.mean()),
            "robust": float(robust.mean()),
            "robust_others": float(other.mean()),
        },
    )


def shifted(subject: Subject, effort: Effort) -> Finding:
    """A shift by one pixel costs little; a warning at most, as a model may be bad at shifts."""
    clean = correct(subject, subject.images)
    ways = ((0, 1), (0, -1), (1, 0), (-1, 0))
    moved = [correct(subject, _shift(subject.images, *way)) for way in ways]
    drop, p = max((accuracy_drop(clean, after) for after in moved), key=lambda pair: pair[0])
    p = min(1.0, p * len(ways))
    return Finding(
        "shifted",
        "warn" if p < DOUBT and drop >= SHIFT else "pass",
        f"shifted by one pixel {clean.mean() - drop:.1%} are right, else {clean.mean():.1%} of "
        f"{len(clean)} images",
        {"clean": float(clean.mean()), "shifted": float(clean.mean() - drop)},
    )


def _shift(images: Tensor, down: int, across: int) -> Tensor:
    """Return images moved by at most one pixel, with the edge repeated."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    height, width = images.shape[-2:]
    moved = torch.roll(padded, (down, across), dims=(-2, -1))
    return moved[..., 1 : height + 1, 1 : width + 1].contiguous()
