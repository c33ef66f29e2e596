"""TTE: test-time transform ensembling (Perez et al. 2021, arXiv:2107.14110)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, Defence


@dataclass(frozen=True, slots=True)
class TransformEnsemble(Defence):
    """Average the unit embeddings of an image, its mirror image, and crops of both.

    The paper averages logits, which is the same up to a factor per image. The defaults are its
    `flip + 4 crops + 4 flipped crops` of juancprzs/TTE. There crops are drawn once per process,
    and a closure makes all of them the last; here each has its own place, drawn from `seed`.

    Attributes:
        flip: Whether mirror images are used.
        crops: Number of crops, each of the image's size out of the padded image.
        pad: Black padding on each side in pixels; 4 for images of 32 pixels in the paper.
        seed: Seed of the crops' places, which are the same for all images.
    """

    flip: bool = True
    crops: int = 4
    pad: int = 4
    seed: int = 0

    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return the mean unit embeddings `[b,d]`."""
        views = self.views(images)
        units = base.unit(views.flatten(0, 1))
        return units.view(*views.shape[:2], -1).mean(dim=0)

    def views(self, images: Tensor) -> Tensor:
        """Return the views `[v,b,3,h,w]`; the first is the image."""
        given = torch.stack([images, images.flip(-1)]) if self.flip else images[None]
        height, width = images.shape[-2:]
        generator = torch.Generator().manual_seed(self.seed)
        places = torch.randint(max(1, 2 * self.pad), (self.crops, 2), generator=generator)
        padded = F.pad(given, (self.pad,) * 4)
        crops = [padded[..., y : y + height, x : x + width] for y, x in places.tolist()]
        return torch.cat([given, *crops])
