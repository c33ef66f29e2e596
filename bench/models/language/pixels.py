"""A differentiable processor of transformers, for images in [0,1]."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.models.language.chat import Chat, processed
from bench.models.language.resizing import KERNELS, resize_bits

_ROUNDING_ERROR = 1e-4  # in 8-bit levels; float32 is off by up to 1.6e-5


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation per channel, for pixels in [0,1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Pixels:
    """A checkpoint's own processor, made differentiable.

    transformers' processors resize 8-bit images in integer arithmetic; all other operations (crops,
    tiles, patches, normalisation) are torch operations with gradients. So the processor itself is
    called, with `resize_bits` in place of torch's resizing. On 8-bit images the result then equals
    the processor's bit by bit; `bench.models.language.verification` checks this for each model.

    Attributes:
        normalisation: Mean and standard deviation of the processor's normalisation.
    """

    def __init__(self, processor: Any, chat: Chat) -> None:
        """Wrap a processor.

        Args:
            processor: A processor of transformers, for images and texts.
            chat: The processor's chat, which knows the inputs that are not of the image.

        Raises:
            ValueError: The processor does not use torchvision, or normalises each image by its
                own mean.
        """
        own = processor.image_processor
        if getattr(own, "backend", None) != "torchvision":
            raise ValueError(
                f"the image processor {type(own).__name__} has no torchvision backend, which "
                "gradients need"
            )
        self.normalisation = _normalisation(own)
        self._processor = processor
        self._text, self._text_inputs = chat.blank(), chat.text_inputs

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the image inputs of a model for images `[b,3,h,w]` in [0,1]; differentiable."""
        with _ExactResizing():
            return self.processed(list(_levels(images)))

    def processed(self, images: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the image inputs of a model as the processor makes them, not differentiable.

        Args:
            images: 8-bit images `[3,h,w]` of one size.

        Raises:
            ValueError: The processor returns something else than tensors.
        """
        found = processed(self._processor, [self._text] * len(images), images)
        own = {name: value for name, value in found.items() if name not in self._text_inputs}
        for name, value in own.items():
            if not isinstance(value, Tensor):
                raise ValueError(f"the processor's {name} is a {type(value).__name__}, no tensor")
        return {name: value.to(images[0].device) for name, value in own.items()}


def _normalisation(processor: Any) -> Normalisation:
    if not processor.do_normalize:
        return Normalisation((0.0,) * 3, (1.0,) * 3)
    mean, std = processor.image_mean, processor.image_std
    if mean is None or std is None:
        raise ValueError(
            f"the image processor {type(processor).__name__} has no `image_mean` and `image_std`, "
            "which normalisation needs"
        )
    return Normalisation(tuple(map(float, mean)), tuple(map(float, std)))


def _levels(images: Tensor) -> Tensor:
    """Scale images from [0,1] to [0,255], and round values that are integers up to float error.

    A GPU divides by 255 by multiplying with the reciprocal. Then 255 * (level / 255) is not an
    integer for half of the 256 levels.
    """
    levels = images * 255
    off = (levels.round() - levels).detach()
    return levels + torch.where(off.abs() < _ROUNDING_ERROR, off, 0.0)


class _ExactResizing(TorchFunctionMode):
    """Replaces torch's antialiased resizing of pixels in [0,255] by `resize_bits` in its context.

    torchvision resizes tensors with `torch.nn.functional.interpolate`. Resizing without
    antialiasing stays torch's own.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if function is F.interpolate and options.get("antialias"):
            kernel, size = str(options["mode"]), options["size"]
            if kernel in KERNELS and size is not None:
                return resize_bits(args[0], (size[0], size[1]), kernel)
        return function(*args, **options)
