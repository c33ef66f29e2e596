"""Number of tokens of an image in a vision-language model, from its configuration."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one image.

    Attributes:
        tower: Number of tokens in the vision tower, over all tiles of the image.
        text: Number of tokens that the language model receives.
    """

    tower: int
    text: int


def image_tokens(
    config: Mapping[str, Any], processor: Mapping[str, Any], size: tuple[int, int]
) -> Tokens:
    """Return the number of tokens of an image.

    Args:
        config: The content of the model's `config.json`.
        processor: The content of its `preprocessor_config.json`. For Qwen it has the smallest and
            largest number of pixels of an image.
        size: Height and width of the image in pixels.

    Raises:
        KeyError: The model type is not supported, or a number is missing.
    """
    kinds: dict[str, Callable[..., Tokens]] = {
        "llava": _llava, "llava_next": _tiled, "llava_onevision": _tiled,
        "qwen2_5_vl": _qwen, "qwen3_vl": _qwen,
    }  # fmt: skip
    return kinds[config["model_type"]](config, processor, size)


def _llava(
    config: Mapping[str, Any], processor: Mapping[str, Any], size: tuple[int, int]
) -> Tokens:
    side = _side(config)
    strategy = config.get("vision_feature_select_strategy", "default")
    return Tokens(side**2 + 1, side**2 + (strategy == "full"))


def _tiled(
    config: Mapping[str, Any], processor: Mapping[str, Any], size: tuple[int, int]
) -> Tokens:
    """Count the tokens of the whole image and of its tiles, and one token per row of the tiles.

    LLaVA-Next and LLaVA-OneVision (arXiv:2408.03326, section 3.2) remove rows and columns that are
    only padding. OneVision also downsamples the tokens if there are more than `anyres_max` tiles.
    """
    side, pixels = _side(config), config["vision_config"]["image_size"]
    class_token = config["model_type"] == "llava_next"
    height, width = _resolution(size, config["image_grid_pinpoints"])
    tiles = (height // pixels) * (width // pixels)
    rows, columns = side * (height // pixels), side * (width // pixels)
    if size[1] / size[0] > columns / rows:
        rows -= 2 * ((rows - int(round(size[0] * (columns / size[1]), 7))) // 2)
    else:
        columns -= 2 * ((columns - int(round(size[1] * (rows / size[0]), 7))) // 2)
    most = str(config.get("vision_aspect_ratio", "")).removeprefix("anyres_max_")
    excess = math.sqrt(rows * columns / (int(most) * side**2)) if most.isdecimal() else 0.0
    if excess > 1.1:
        rows, columns = int(rows // excess), int(columns // excess)
    return Tokens((tiles + 1) * (side**2 + class_token), side**2 + rows * columns + rows)


def _side(config: Mapping[str, Any]) -> int:
    vision = config["vision_config"]
    return int(vision["image_size"] // vision["patch_size"])


def _resolution(size: tuple[int, int], allowed: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the allowed resolution that keeps most pixels; on a tie, the least padding."""

    def merit(resolution: Sequence[int]) -> tuple[int, int]:
        scale = min(resolution[1] / size[1], resolution[0] / size[0])
        useful = min(int(size[1] * scale) * int(size[0] * scale), size[0] * size[1])
        return useful, useful - resolution[0] * resolution[1]

    best = max(allowed, key=merit)
    return best[0], best[1]


def _qwen(config: Mapping[str, Any], processor: Mapping[str, Any], size: tuple[int, int]) -> Tokens:
    vision = config["vision_config"]
    patch, square = vision["patch_size"], vision.get("spatial_merge_size", 2)
    stated = processor.get("size") or {}
    least = stated.get("shortest_edge") or processor["min_pixels"]
    most = stated.get("longest_edge") or processor["max_pixels"]
    height, width = _rounded(size, patch * square, least, most)
    patches = (height // patch) * (width // patch)
    return Tokens(patches, patches // square**2)


def _rounded(size: tuple[int, int], step: int, least: int, most: int) -> tuple[int, int]:
    """Return the image size after Qwen's processor: multiples of `step`, pixels within limits."""
    height, width = (round(side / step) * step for side in size)
    if height * width > most:
        shrink = math.sqrt(size[0] * size[1] / most)
        height, width = (max(step, math.floor(side / shrink / step) * step) for side in size)
    elif height * width < least:
        grow = math.sqrt(least / (size[0] * size[1]))
        height, width = (math.ceil(side * grow / step) * step for side in size)
    return height, width
