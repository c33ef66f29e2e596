"""Towers in which every parameter changes the output, and random images."""

import torch
from torch import Tensor, nn

from tests.support.towers import SIZE, build


def randomised(tower: nn.Module, seed: int) -> nn.Module:
    """Make every parameter random, so that each changes the output."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in tower.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3 + 0.1
    return tower.eval().requires_grad_(False)


def random_tower(name: str, seed: int = 0) -> nn.Module:
    """Return one of `TOWERS`."""
    return randomised(build(name), seed)


def pixels(count: int = 2) -> Tensor:
    """Return images in [0,1]."""
    return torch.rand((count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(2))
