"""JPEG compression in front of the model."""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from radapt.defences.defence import Base, Gradient, ImageDefence
from radapt.pictures import opened


@dataclass(frozen=True, slots=True)
class Jpeg(ImageDefence):
    """Round images to 8 bits, compress them as JPEG with Pillow, and decode them.

    Guo et al. 2018 (arXiv:1711.00117) use quality 75. The encoder has no gradient here, so
    gradients are straight-through.

    Attributes:
        quality: JPEG quality, 1 to 95.
    """

    gradients: ClassVar[tuple[Gradient, ...]] = ("identity", "base")

    quality: int = 75

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the decoded images `[b,3,h,w]`."""
        pixels = (images.detach() * 255).round().clamp(0, 255).to(torch.uint8).cpu()
        decoded = [self._compressed(image.permute(1, 2, 0).numpy()) for image in pixels]
        back = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)
        return back.to(images) / 255

    def _compressed(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
        with opened(file.getvalue(), "an image in the JPEG defence") as image:
            return np.array(image)
