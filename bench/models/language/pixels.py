"""Images in [0,1] to what a processor of transformers makes of them, with gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.models.language.resizing import resize_bits

_BICUBIC = 3  # PIL's number
_ROUNDING_ERROR = 1e-4  # of a level; single precision is off by up to 1.6e-5


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and deviation per channel that [0,1] pixels are normalised with."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Pixels:
    """A checkpoint's own image processor, made differentiable.

    transformers' processors resize 8-bit images in integers and do all else (crops, tiles,
    patches, normalisation) by operations of torch that have gradients. So the processor itself is
    called, with `resize_bits` for its resizing: on images of 8 bits the result is the processor's
    to the last bit.
    """

    def __init__(self, processor: Any) -> None:
        """Take over a processor; its `resize` is replaced.

        Raises:
            ValueError: It works by other means than torchvision's, or resizes in another way.
        """
        if getattr(processor, "backend", None) != "torchvision":
            raise ValueError(f"{type(processor).__name__} has no form that works on tensors")
        if processor.do_resize and processor.resample != _BICUBIC:
            raise ValueError(f"the images' resampling is {processor.resample}, not bicubic (3)")
        self.normalisation = Normalisation(
            tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))
        )
        self._process = processor
        processor.resize = _resizing(processor.resize)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return a model's inputs of images `[b,3,h,w]` in [0,1]; differentiable."""
        found = self._process(list(_levels(images)), return_tensors="pt")
        return {name: value.to(images.device) for name, value in found.items()}


def _levels(images: Tensor) -> Tensor:
    """Return images of [0,1] in [0,255], whole where they are so but for rounding.

    An accelerator divides by 255 by multiplying with its reciprocal, after which half of the 256
    levels are no longer whole when they are multiplied again.
    """
    levels = images * 255
    off = (levels.round() - levels).detach()
    return levels + torch.where(off.abs() < _ROUNDING_ERROR, off, 0.0)


def _resizing(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def resize(image: Tensor | None = None, **options: Any) -> Tensor:
        # Qwen's takes images of one size under another name
        name, given = ("images", options.pop("images")) if image is None else ("image", image)
        # the processor's own resizing of a tensor without content tells the size it has in mind
        empty = torch.empty_like(given, device="meta")
        shape = original(**{name: empty}, **options).shape
        return resize_bits(given, (shape[-2], shape[-1]))

    return resize
