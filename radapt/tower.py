"""What R-Adapt needs to know of a vision tower: its first attention and its pixel size."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from radapt.grids import grids_of
from radapt.layout import has_part, layout_of

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def attention_path(tower: nn.Module) -> str:
    """Return the name of the first block's attention module.

    Raises:
        TypeError: The tower has no blocks, as a ResNet or a ConvNeXt.
    """
    layout = layout_of(tower)
    return f"{layout.blocks}.0.{layout.attention[1]}"


def image_size(tower: nn.Module) -> tuple[int, int]:
    """Return the height and width that a tower takes.

    Of one that takes any (`radapt.grids`) that is the size of its learned grid of positions; where
    it has none, the least size.

    Raises:
        TypeError: The tower does not say.
    """
    if (how := grids_of(tower)) is not None:
        side = how.step if how.side is None else how.side * how.patch
        return side, side
    size: Any = getattr(tower, "image_size", None)
    if size is None:
        size = getattr(getattr(tower, "config", None), "image_size", None)
    if isinstance(size, int):
        return size, size
    if size is None:
        raise TypeError(f"{type(tower).__name__} has no image_size; pass an image of its size")
    return int(size[0]), int(size[1])


def describe(tower: nn.Module) -> str:
    """Return a tower's kind and shape in words, for an anchor's metadata and for messages."""
    height, width = image_size(tower)
    size = f"{height}x{width}px" if grids_of(tower) is None else "of any size"
    return f"{type(tower).__name__} {size}, {token_width(tower)} wide"


def token_width(tower: nn.Module) -> int:
    """Return the width of a tower's tokens."""
    return _patches(tower).out_channels


def token_grid(tower: nn.Module) -> tuple[int, int]:
    """Return the rows and columns of a tower's patch tokens at its own image size."""
    *_, down, across = _patches(tower).stride
    height, width = image_size(tower)
    return height // down, width // across


def prefix_tokens(tower: nn.Module) -> int:
    """Return the number of tokens before the patches', most often 1: the class token."""
    of_timm = getattr(getattr(tower, "trunk", None), "num_prefix_tokens", None)  # and registers
    return int(has_part(tower, layout_of(tower).class_token) if of_timm is None else of_timm)


def normalisation(
    tower: nn.Module,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and deviation per channel that a tower's [0,1] pixels are normalised with.

    What is given comes first, then what the tower says: open_clip notes it on the tower. Hugging
    Face keeps it with the processor; its SigLIP and Qwen3-VL towers take 0.5 for both. Else it is
    CLIP's.
    """
    config: Any = getattr(tower, "config", None)
    halves = str(getattr(config, "model_type", "")).startswith(("siglip", "qwen3_vl"))
    own_mean = getattr(tower, "image_mean", None) or ((0.5,) * 3 if halves else CLIP_MEAN)
    own_std = getattr(tower, "image_std", None) or ((0.5,) * 3 if halves else CLIP_STD)
    return tuple(mean or own_mean), tuple(std or own_std)


def embedding(tower: nn.Module, inputs: Tensor) -> Tensor:
    """Return a tower's image embeddings, `[b,d]`, of normalised pixels `[b,3,h,w]`.

    That is open_clip's output, and of Hugging Face's towers the projected embedding where
    there is a projection, else the pooled one.

    Raises:
        TypeError: The tower gives no embedding of a whole image.
    """
    if grids_of(tower) is not None:
        raise TypeError(f"{type(tower).__name__} takes patches and embeds no whole image")
    output: Any = tower(inputs)
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple):  # open_clip with output_tokens
        return cast(Tensor, output[0])
    projected = getattr(output, "image_embeds", None)
    return cast(Tensor, output.pooler_output if projected is None else projected)


def is_adapted(tower: nn.Module) -> bool:
    """Return whether a tower comes from `adapt`."""
    return hasattr(tower, "radapt_handles")


def batch_leads(attention: nn.Module) -> bool:
    """Return whether an attention module takes `[b,n,d]`, rather than `[n,b,d]`."""
    return bool(getattr(attention, "batch_first", True))


def _patches(tower: nn.Module) -> nn.Conv2d | nn.Conv3d:
    return cast(nn.Conv2d | nn.Conv3d, tower.get_submodule(layout_of(tower).patches))


def normalise(
    images: Tensor, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD
) -> Tensor:
    """Map [0,1] pixels to a tower's input."""
    return (images - _channels(images, mean)) / _channels(images, std)


def _channels(like: Tensor, values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
