"""CSR: contrastive spectral rectification (public code Summu77/CSR)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from radapt.defences.defence import Base, ImageDefence, sign_of_gradient, within_box
from radapt.filters import PAPER_SIZE, GaussianFilter


@dataclass(frozen=True, slots=True)
class Csr(ImageDefence):
    """Move an image's embedding towards that of its low-pass image, if the two differ much.

    The gate: images with cos(f(x), f(G x)) of at least `threshold` stay as they are; G is a
    Gaussian low-pass filter. The others take sign steps on cos(f(z), f(G x)) - cos(f(z), f(x)), and
    the best of all points counts, x included.

    Attributes:
        cutoff: Cutoff D0 of the filter in frequency offsets at `cutoff_at` pixels.
        cutoff_at: Image size in pixels that `cutoff` refers to; None for the image's own size, as
            in the public code, which sees images of 224 pixels.
        threshold: Cosine from which an image counts as clean.
        steps: Number of steps; 0 for no change.
        step: Step size in [0,1] pixels.
        eps: Radius of the ball around the image in [0,1] pixels (linf).
    """

    cutoff: float = 40.0
    cutoff_at: int | None = PAPER_SIZE
    threshold: float = 0.85
    steps: int = 3
    step: float = 2 / 255
    eps: float = 4 / 255

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the rectified images `[b,3,h,w]`."""
        smooth_filter = GaussianFilter(self.cutoff, at=self.cutoff_at).to(images.device)
        with torch.no_grad():
            clean, smooth = base.unit(images), base.unit(smooth_filter(images))
            attacked = (clean * smooth).sum(dim=1) < self.threshold

        def score(points: Tensor) -> Tensor:
            return (base.unit(points) * (smooth - clean)).sum(dim=1)

        points = [images]
        for _ in range(self.steps):
            moved = points[-1] + self.step * sign_of_gradient(score, points[-1])
            change = (moved - images).clamp(-self.eps, self.eps)
            points.append(images + within_box(change, images))
        with torch.no_grad():
            best = torch.stack([score(each) for each in points]).argmax(dim=0)
        chosen = torch.stack(points)[best, torch.arange(len(images), device=images.device)]
        return torch.where(attacked.view(-1, 1, 1, 1), chosen, images)
