"""TTC: test-time counterattacks (Xing et al. 2025, arXiv:2503.03613)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from radapt.defences.defence import Base, ImageDefence, sign_of_gradient, within_box


@dataclass(frozen=True, slots=True)
class Ttc(ImageDefence):
    """Move an image away from its own embedding if small noise hardly moves it.

    Adversarial images are "falsely stable": noise changes their embedding less than that of clean
    images. With a uniform start d_0 in the ball, PGD on |f(x+d) - f(x)|^2 gives d_1 .. d_N. If
    |f(x+d_0) - f(x)| / |f(x)| is below `threshold`, the image gets the mean of d_0 .. d_N with
    weights proportional to exp(beta i), else d_0 alone.

    The defaults are of Sxing2/CLIP-Test-time-Counterattacks. There, for a fine-tuned base, f in the
    ratio is the original CLIP; here it is the base, unless `gate` says otherwise.

    Attributes:
        eps: Radius of the ball in [0,1] pixels (linf); 0 for no change.
        step: Step size in [0,1] pixels.
        steps: Number of steps N; 0 for noise alone.
        threshold: Ratio below which an image counts as falsely stable (tau).
        beta: Growth of the weights.
        gate: Embeds images in place of the base, in the ratio alone; None for the base.
    """

    random: ClassVar[bool] = True

    eps: float = 4 / 255
    step: float = 1 / 255
    steps: int = 2
    threshold: float = 0.2
    beta: float = 2.0
    gate: Callable[[Tensor], Tensor] | None = None

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the counterattacked images `[b,3,h,w]`."""
        with torch.no_grad():
            clean = base.embed(images)

        def distance(points: Tensor) -> Tensor:
            return (base.embed(points) - clean).square().sum(dim=1)

        start = self.eps * (2 * torch.rand_like(images) - 1)
        moves = [within_box(start, images)]
        with torch.no_grad():
            seen = clean if self.gate is None else self.gate(images)
            moved = (self.gate or base.embed)(images + moves[0]) - seen
            ratio = moved.square().sum(dim=1).sqrt() / seen.norm(dim=1)
        for _ in range(self.steps):
            uphill = sign_of_gradient(distance, images + moves[-1])
            moved = (moves[-1] + self.step * uphill).clamp(-self.eps, self.eps)
            moves.append(within_box(moved, images))
        weights = torch.softmax(self.beta * torch.arange(self.steps + 1.0), dim=0)
        mean = torch.einsum("s,sbchw->bchw", weights.to(images), torch.stack(moves))
        stable = (ratio < self.threshold).view(-1, 1, 1, 1)
        return images + torch.where(stable, mean, moves[0])
