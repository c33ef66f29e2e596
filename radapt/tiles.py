"""Tiles of the vision tower of Llama 3.2 Vision (Mllama).

The tower takes `[b, media, tiles, 3, h, w]`: each image is cut into up to four tiles of the tower's
size, and zero tiles fill the rest. All tiles of an image are in one sequence, and each tile's class
and patch tokens are padded to a multiple of 8.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_MULTIPLE = 8  # of a tile's tokens, as padded by transformers


@dataclass(frozen=True, slots=True)
class Tiles:
    """Number of an image's tiles and of a tile's tokens.

    Attributes:
        count: Largest number of tiles.
        tokens: Class and patch tokens of a tile, with those that pad it.
        single: The tower's number for the arrangement of one tile.
    """

    count: int
    tokens: int
    single: int

    def of_images(self, images: Tensor) -> dict[str, Tensor]:
        """Return the tower's arguments for normalised images `[b,3,h,w]`: one tile for each."""
        batch = len(images)
        tiles = images.new_zeros(batch, 1, self.count, *images.shape[1:])
        tiles = torch.cat([images[:, None, None], tiles[:, :, 1:]], dim=2)
        ids = torch.full((batch, 1), self.single, device=images.device)
        mask = torch.zeros(batch, 1, self.count, dtype=torch.long, device=images.device)
        mask[..., 0] = 1
        return {"pixel_values": tiles, "aspect_ratio_ids": ids, "aspect_ratio_mask": mask}


def tiles_of(tower: nn.Module) -> Tiles | None:
    """Return the tiles of Mllama's tower; None for other towers."""
    config: Any = getattr(tower, "config", None)
    if getattr(config, "model_type", None) != "mllama_vision_model":
        return None
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    single = [list(ratio) for ratio in config.supported_aspect_ratios].index([1, 1]) + 1
    return Tiles(int(config.max_num_tiles), tokens + -tokens % _MULTIPLE, single)
