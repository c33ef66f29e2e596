"""A model that memorised the test images does worse on similar images."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.trust.findings import Finding
from bench.trust.significance import DOUBT, FAIL, accuracy_drop, fisher_exact
from bench.trust.subject import Effort, Subject, correct, held_out_subject, pgd, surviving_images

LEAST = 16  # other images that the check needs
SHIFT = 0.15  # largest drop of accuracy that a shift by one pixel costs honest models


def held_out(subject: Subject, effort: Effort) -> Finding:
    """Clean and robust accuracy are as high on other images of the same classes."""
    held = held_out_subject(subject)
    if held is None or len(held.images) < LEAST:
        have = len(held.images) if held else 0
        return Finding(
            "held-out",
            "skip",
            f"the dataset has {have} images outside the sample; {LEAST} are needed",
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
        f"clean accuracy is {clean.mean():.1%} on {len(clean)} test images and "
        f"{others.mean():.1%} on {len(others)} others; robust accuracy is "
        f"{robust.mean():.1%} and {other.mean():.1%}",
        {
            "clean": float(clean.mean()),
            "clean_others": float(others.mean()),
            "robust": float(robust.mean()),
            "robust_others": float(other.mean()),
        },
        p,
    )


def shifted(subject: Subject, effort: Effort) -> Finding:
    """A shift by one pixel costs little accuracy; warns at most, as honest models may fail."""
    clean = correct(subject, subject.images)
    ways = ((0, 1), (0, -1), (1, 0), (-1, 0))
    moved = [correct(subject, _shift(subject.images, *way)) for way in ways]
    drop, p = max((accuracy_drop(clean, after) for after in moved), key=lambda pair: pair[0])
    p = min(1.0, p * len(ways))
    return Finding(
        "shifted",
        "warn" if p < DOUBT and drop >= SHIFT else "pass",
        f"accuracy is {clean.mean() - drop:.1%} after a shift by one pixel and {clean.mean():.1%} "
        f"without, on {len(clean)} images",
        {"clean": float(clean.mean()), "shifted": float(clean.mean() - drop)},
        p,
    )


def _shift(images: Tensor, down: int, across: int) -> Tensor:
    """Return images shifted by at most one pixel, with replicated edges."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    height, width = images.shape[-2:]
    moved = torch.roll(padded, (down, across), dims=(-2, -1))
    return moved[..., 1 : height + 1, 1 : width + 1].contiguous()
