"""A model of a user that costs next to nothing, in a module that imports only torch."""

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

spent = [0.0, 0.0]  # seconds of the forward passes of all models: on the wall's clock, of the CPU


class Own:
    """Embeds by the means of patches."""

    logit_scale = 10.0

    def __init__(self, device: torch.device, place: int) -> None:
        self.place = place

    def encode_image(self, images: Tensor) -> Tensor:
        wall, cpu = time.perf_counter(), time.process_time()
        found = F.avg_pool2d(images - 0.5, 8).flatten(1) + 1e-3 * self.place
        spent[0] += time.perf_counter() - wall
        spent[1] += time.process_time() - cpu
        return found

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return torch.randn(len(texts), 48, generator=torch.Generator().manual_seed(0))
