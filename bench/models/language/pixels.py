"""A differentiable image processor of transformers, for images in [0,1]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.models.language.resizing import resize_bits

_BICUBIC = 3  # PIL.Image.Resampling.BICUBIC
_ROUNDING_ERROR = 1e-4  # in 8-bit levels; float32 is off by up to 1.6e-5


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation per channel, for pixels in [0,1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Pixels:
    """A checkpoint's own image processor, made differentiable.

    transformers' processors resize 8-bit images in integer arithmetic; all other operations (crops,
    tiles, patches, normalisation) are torch operations with gradients. So the processor itself is
    called, with `resize_bits` in place of its resizing. On 8-bit images the result equals the
    processor's bit by bit.

    Attributes:
        normalisation: Mean and standard deviation of the processor's normalisation.
    """

    def __init__(self, processor: Any) -> None:
        """Wrap a processor, and replace its `resize`.

        Raises:
            ValueError: The processor does not use torchvision, or its resizing is not bicubic.
        """
        if getattr(processor, "backend", None) != "torchvision":
            raise ValueError(
                f"the image processor {type(processor).__name__} has no torchvision backend, "
                "which gradients need"
            )
        if processor.do_resize and processor.resample != _BICUBIC:
            raise ValueError(
                f"the image processor's `resample` is {processor.resample}; allowed: {_BICUBIC} "
                "(bicubic)"
            )
        self.normalisation = Normalisation(
            tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))
        )
        self._process = processor
        processor.resize = _resizing(processor.resize)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the model inputs for images `[b,3,h,w]` in [0,1]; differentiable."""
        found = self._process(list(_levels(images)), return_tensors="pt")
        return {name: value.to(images.device) for name, value in found.items()}


def _levels(images: Tensor) -> Tensor:
    """Scale images from [0,1] to [0,255], and round values that are integers up to float error.

    A GPU divides by 255 by multiplying with the reciprocal. Then 255 * (level / 255) is not an
    integer for half of the 256 levels.
    """
    levels = images * 255
    off = (levels.round() - levels).detach()
    return levels + torch.where(off.abs() < _ROUNDING_ERROR, off, 0.0)


def _resizing(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def resize(image: Tensor | None = None, **options: Any) -> Tensor:
        # Qwen's processor names this argument `images`
        name, pixels = ("images", options.pop("images")) if image is None else ("image", image)
        # the original resize of a tensor without data gives the target size
        empty = torch.empty_like(pixels, device="meta")
        shape = original(**{name: empty}, **options).shape
        return resize_bits(pixels, (shape[-2], shape[-1]))

    return resize
