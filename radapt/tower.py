"""What R-Adapt needs to know of a vision tower: its first attention and its pixel size."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# Where the first attention module sits, by kind of tower.
_PATHS = (
    "transformer.resblocks.0.attn",  # open_clip VisionTransformer
    "vision_model.encoder.layers.0.self_attn",  # Hugging Face CLIP and SigLIP vision models
    "encoder.layers.0.self_attn",
)


def attention_path(tower: nn.Module) -> str:
    """Return the name of the first block's attention module.

    Raises:
        TypeError: The tower has none that is known, as in a ResNet.
    """
    for path in _PATHS:
        try:
            tower.get_submodule(path)
        except AttributeError:
            continue
        return path
    raise TypeError(
        f"{type(tower).__name__} has no first attention block that R-Adapt knows; "
        f"looked for {', '.join(_PATHS)}"
    )


def image_size(tower: nn.Module) -> tuple[int, int]:
    """Return the height and width that a tower takes.

    Raises:
        TypeError: The tower does not say.
    """
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
    attention = tower.get_submodule(attention_path(tower))
    width = getattr(attention, "embed_dim", "?")
    return f"{type(tower).__name__} {image_size(tower)[0]}px width {width}"


def batch_leads(attention: nn.Module) -> bool:
    """Return whether an attention module takes `[b,n,d]`, rather than `[n,b,d]`."""
    return bool(getattr(attention, "batch_first", True))


def clone_to(root: nn.Module, path: str) -> tuple[nn.Module, nn.Module]:
    """Copy the modules along `path` and share everything else, weights included.

    Returns:
        The new root and the new module at the path. Hooks put on either are not seen
        by the original, and its state dict still loads into the new root.
    """
    new_root = _shallow(root)
    current = new_root
    for name in path.split("."):
        child = _shallow(current._modules[name])
        current._modules[name] = child
        current = child
    return new_root, current


def _shallow(module: nn.Module | None) -> nn.Module:
    if module is None:
        raise TypeError("the path leads through an empty module")
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    clone._forward_hooks = copy.copy(module._forward_hooks)
    clone._forward_pre_hooks = copy.copy(module._forward_pre_hooks)
    return clone


def normalise(
    images: Tensor, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD
) -> Tensor:
    """Map [0,1] pixels to a tower's input."""
    return (images - _channels(images, mean)) / _channels(images, std)


def denormalise(inputs: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Map a tower's input back to [0,1] pixels."""
    return inputs * _channels(inputs, std) + _channels(inputs, mean)


def _channels(like: Tensor, values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
