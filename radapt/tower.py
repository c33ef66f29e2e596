"""Properties of a vision tower: its first attention, image size, tokens and normalisation."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from radapt.any_size import INPUTS
from radapt.grids import grids_of
from radapt.layout import has_part, layout_of
from radapt.normalisations import CLIP_MEAN, CLIP_STD, MeanStd, of_model_type, of_processor_file
from radapt.tiles import tiles_of


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
    trunk: Any = getattr(tower, "trunk", None)
    if trunk is not None:
        return int(trunk.embed_dim)
    patches: Any = tower.get_submodule(layout_of(tower).patches)
    return int(patches.out_features if isinstance(patches, nn.Linear) else patches.out_channels)


def token_grid(tower: nn.Module, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the rows and columns of a tower's patch tokens for images of a size.

    Args:
        tower: A vision tower.
        size: Height and width in pixels; None for the tower's own.
    """
    if (order := grids_of(tower)) is not None:
        return order.of(size or image_size(tower))
    height, width = size or image_size(tower)
    trunk: Any = getattr(tower, "trunk", None)
    if trunk is not None:  # timm knows the stride of a stem
        rows, columns = trunk.patch_embed.dynamic_feat_size((height, width))
        return int(rows), int(columns)
    patches: Any = tower.get_submodule(layout_of(tower).patches)
    return height // patches.stride[-2], width // patches.stride[-1]


def prefix_tokens(tower: nn.Module) -> int:
    """Return the number of tokens before the patch tokens: the class token and registers."""
    trunk: Any = getattr(tower, "trunk", None)
    if trunk is not None:
        return int(trunk.num_prefix_tokens)
    layout = layout_of(tower)
    registers = 0
    if layout.registers and has_part(tower, layout.registers):
        registers = tower.get_parameter(layout.registers).shape[1]
    return int(has_part(tower, layout.class_token)) + registers


def normalisation(
    tower: nn.Module,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> MeanStd:
    """Return the mean and standard deviation per channel for normalising [0,1] pixels.

    Given values come first. Then, for towers of open_clip, the attributes that open_clip sets, or
    its own default, which is CLIP's. For towers of Hugging Face: the processor's file that is
    stored with the weights, then the value that all checkpoints of the kind have.

    Raises:
        ValueError: The tower's processor is not known, and a value is not given.
    """
    if mean and std:
        return tuple(mean), tuple(std)
    own = _own_normalisation(tower)
    return tuple(mean or own[0]), tuple(std or own[1])


def _own_normalisation(tower: nn.Module) -> MeanStd:
    config: Any = getattr(tower, "config", None)
    if config is None:
        noted: Any = (getattr(tower, "image_mean", None), getattr(tower, "image_std", None))
        return tuple(noted[0] or CLIP_MEAN), tuple(noted[1] or CLIP_STD)
    found = of_processor_file(config) or of_model_type(str(getattr(config, "model_type", "")))
    if found is None:
        raise ValueError(
            f"{type(tower).__name__} does not have the mean and standard deviation of its "
            "normalisation; give them as `mean` and `std` (`image_mean` and `image_std` of the "
            "model's image processor)"
        )
    return found


def run(tower: nn.Module, images: Tensor) -> Any:
    """Return a tower's output for normalised pixels `[b,3,h,w]`, given as the tower takes them."""
    if (order := grids_of(tower)) is not None:
        return tower(**INPUTS[order.form].of_images(images, order))
    tiles = tiles_of(tower)
    return tower(images) if tiles is None else tower(**tiles.of_images(images))


def embedding(tower: nn.Module, inputs: Tensor) -> Tensor:
    """Return a tower's image embeddings `[b,d]` for normalised pixels `[b,3,h,w]`.

    For open_clip this is the output. For Hugging Face it is the projected embedding if the tower
    has a projection, else the pooled output.

    Raises:
        TypeError: The tower has no embedding of a whole image.
    """
    order = grids_of(tower)
    if order is not None and order.form == "packed":
        raise TypeError(
            f"{type(tower).__name__} has no embedding of an image, only of squares of patches"
        )
    output: Any = run(tower, inputs)
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple):  # open_clip with output_tokens
        return cast(Tensor, output[0])
    projected = getattr(output, "image_embeds", None)
    found = getattr(output, "pooler_output", None) if projected is None else projected
    if found is None:
        raise TypeError(f"{type(tower).__name__} has no embedding of an image")
    return cast(Tensor, found)


def is_adapted(tower: nn.Module) -> bool:
    """Return whether a tower was made by `adapt`."""
    return hasattr(tower, "radapt_handles")


def batch_leads(attention: nn.Module) -> bool:
    """Return whether an attention module takes `[b,n,d]`; else it takes `[n,b,d]`."""
    return bool(getattr(attention, "batch_first", True))


def normalise(
    images: Tensor, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD
) -> Tensor:
    """Normalise [0,1] pixels per channel: `(images - mean) / std`."""
    return (images - _channels(images, mean)) / _channels(images, std)


def _channels(like: Tensor, values: tuple[float, ...]) -> Tensor:
    # filled on the device: copying a host's tensor would make the host wait for the GPU
    return torch.cat([like.new_full((1, 1, 1), value) for value in values])
