"""Random resizing and padding in front of the model."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, Gradient, ImageDefence


@dataclass(frozen=True, slots=True)
class ResizePad(ImageDefence):
    """Enlarge an image to a random size and pad it at random to a fixed, larger size.

    Xie et al. 2018 (arXiv:1711.01991). The defaults are of
    cihangxie/NIPS2017_adv_challenge_defense: images of 299 pixels are resized to 310..330
    (nearest neighbour) and padded to 331. There all images of a batch share their numbers; here
    each image has its own.

    Attributes:
        smallest: Smallest size, as a factor on the image's size.
        largest: Size after padding, as a factor on the image's size.
        fill: Value of the padding in [0,1]. The paper's padding is 0 in [-1,1], which is 0.5 here.
    """

    random: ClassVar[bool] = True
    gradients: ClassVar[tuple[Gradient, ...]] = ("exact", "base")  # the size of images changes

    smallest: float = 310 / 299
    largest: float = 331 / 299
    fill: float = 0.5

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the padded images `[b,3,H,W]`."""
        return torch.cat([self._changed(image[None]) for image in images])

    def _changed(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        share = self.smallest + (self.largest - self.smallest) * float(torch.rand(()))
        enlarged = F.interpolate(image, (int(height * share), int(width * share)), mode="nearest")
        below = round(height * self.largest) - enlarged.shape[-2]
        right = round(width * self.largest) - enlarged.shape[-1]
        top, left = int(torch.randint(below + 1, ())), int(torch.randint(right + 1, ()))
        return F.pad(enlarged, (left, right - left, top, below - top), value=self.fill)
