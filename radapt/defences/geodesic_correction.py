"""AGC: adaptive geodesic correction towards augmented views (Li et al. 2026, arXiv:2605.15584)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, Defence
from radapt.defences.perspective import random_perspective

_SMALLEST = 1e-8  # a power has no finite derivative at 0


@dataclass(frozen=True, slots=True)
class GeodesicCorrection(Defence):
    """Move the embedding on the sphere towards, and beyond, the mean of augmented views.

    With the angle theta between the embedding x and the views' mean direction, x turns by
    beta theta. beta grows from `least` to `most` with the score a^0.9 t: a is the mean of
    1 - cosine between x and a view (how odd x is), t the mean of (1 + cosine) / 2 between two
    views (how much they agree).

    The defaults are of lizhiwei23/AGC. Views there are made with Pillow's bicubic kernel in 8
    bits; here with torch's, so that they are differentiable.

    Attributes:
        views: Number of views under random perspectives.
        distortion: Strength of the perspectives, in [0,1]; 0 for none.
        least: beta of an image whose views agree with it.
        most: beta at score 1.
        power: Exponent of a.
    """

    random: ClassVar[bool] = True

    views: int = 32
    distortion: float = 0.5
    least: float = 0.45
    most: float = 2.25
    power: float = 0.9

    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return the corrected unit embeddings `[b,d]`."""
        drawn = random_perspective(images.repeat_interleave(self.views, dim=0), self.distortion)
        given, views = base.unit(images), base.unit(drawn).view(len(images), self.views, -1)
        return self.corrected(given, views)

    def corrected(self, given: Tensor, views: Tensor) -> Tensor:
        """Return the corrected embeddings `[b,d]`.

        Args:
            given: Unit embeddings of the images, `[b,d]`.
            views: Unit embeddings of their views, `[b,v,d]`.
        """
        odd = (1 - (views @ given[:, :, None]).mean(dim=(1, 2))).clamp(_SMALLEST, 1)
        score = odd**self.power * self._agreement(views)
        beta = self.least + (self.most - self.least) * score[:, None]
        anchor = F.normalize(views.mean(dim=1), dim=1)
        cosine = (given * anchor).sum(dim=1, keepdim=True)
        across = anchor - cosine * given  # in the plane that touches the sphere
        turn = beta * torch.atan2(across.norm(dim=1, keepdim=True), cosine)
        tangent = F.normalize(across, dim=1)
        return F.normalize(torch.cos(turn) * given + torch.sin(turn) * tangent, dim=1)

    def _agreement(self, views: Tensor) -> Tensor:
        """Return the mean of (1 + cosine) / 2 over pairs of different views, `[b]`."""
        if self.views == 1:
            return torch.ones(len(views), device=views.device)
        pairs = (views @ views.transpose(1, 2)).sum(dim=(1, 2)) - self.views
        return ((pairs / (self.views * (self.views - 1)) + 1) / 2).clamp(0, 1)
