"""Properties of a vision tower: its first attention, image size, tokens and normalisation."""

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
        TypeError: The tower has no transformer blocks, for example a ResNet or a ConvNeXt.
    """
    layout = layout_of(tower)
    return f"{layout.blocks}.0.{layout.attention[1]}"


def image_size(tower: nn.Module) -> tuple[int, int]:
    """Return the height and width of a tower's input images in pixels.

    For a tower that takes images of any size (`radapt.grids`): the size of its grid of learned
    positions, or the smallest size if it has none.

    Raises:
        TypeError: The tower has no `image_size`.
    """
    if (order := grids_of(tower)) is not None:
        side = order.step if order.side is None else order.side * order.patch
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
    """Return a description of a tower's kind and shape, for anchors' metadata and messages."""
    height, width = image_size(tower)
    size = f"{height}x{width}px" if grids_of(tower) is None else "of any size"
    return f"{type(tower).__name__} {size}, {token_width(tower)} wide"


def token_width(tower: nn.Module) -> int:
    """Return the width of a tower's tokens."""
    return _patches(tower).out_channels


def token_grid(tower: nn.Module) -> tuple[int, int]:
    """Return the rows and columns of a tower's patch tokens for its image size."""
    *_, down, across = _patches(tower).stride
    height, width = image_size(tower)
    return height // down, width // across


def prefix_tokens(tower: nn.Module) -> int:
    """Return the number of tokens before the patch tokens, usually 1: the class token."""
    # timm's count includes register tokens
    timm = getattr(getattr(tower, "trunk", None), "num_prefix_tokens", None)
    return int(has_part(tower, layout_of(tower).class_token) if timm is None else timm)


def normalisation(
    tower: nn.Module,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation per channel for normalising [0,1] pixels.

    Given values come first, then the tower's attributes, which open_clip sets. Hugging Face has
    the values in the image processor, not on the tower: its SigLIP and Qwen3-VL towers have 0.5
    for both. All other towers have CLIP's values.
    """
    config: Any = getattr(tower, "config", None)
    halves = str(getattr(config, "model_type", "")).startswith(("siglip", "qwen3_vl"))
    own_mean = getattr(tower, "image_mean", None) or ((0.5,) * 3 if halves else CLIP_MEAN)
    own_std = getattr(tower, "image_std", None) or ((0.5,) * 3 if halves else CLIP_STD)
    return tuple(mean or own_mean), tuple(std or own_std)


def embedding(tower: nn.Module, inputs: Tensor) -> Tensor:
    """Return a tower's image embeddings `[b,d]` for normalised pixels `[b,3,h,w]`.

    For open_clip this is the output. For Hugging Face it is the projected embedding if the tower
    has a projection, else the pooled output.

    Raises:
        TypeError: The tower takes patches and has no embedding of a whole image.
    """
    if grids_of(tower) is not None:
        raise TypeError(f"{type(tower).__name__} takes patches and has no embedding of an image")
    output: Any = tower(inputs)
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple):  # open_clip with output_tokens
        return cast(Tensor, output[0])
    projected = getattr(output, "image_embeds", None)
    return cast(Tensor, output.pooler_output if projected is None else projected)


def is_adapted(tower: nn.Module) -> bool:
    """Return whether a tower was made by `adapt`."""
    return hasattr(tower, "radapt_handles")


def batch_leads(attention: nn.Module) -> bool:
    """Return whether an attention module takes `[b,n,d]`; else it takes `[n,b,d]`."""
    return bool(getattr(attention, "batch_first", True))


def _patches(tower: nn.Module) -> nn.Conv2d | nn.Conv3d:
    return cast(nn.Conv2d | nn.Conv3d, tower.get_submodule(layout_of(tower).patches))


def normalise(
    images: Tensor, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD
) -> Tensor:
    """Normalise [0,1] pixels per channel: `(images - mean) / std`."""
    return (images - _channels(images, mean)) / _channels(images, std)


def _channels(like: Tensor, values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
