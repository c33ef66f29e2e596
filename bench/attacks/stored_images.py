"""Encoding of adversarial images for storage, and decoding for scoring.

`float16` stores perturbations; decoded images are projected into the ball again. The 8-bit forms
store images, like papers that save PNG files; they are scored without projection. So a truncated
or rounded pixel may exceed the budget by up to 1/255.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.balls import project
from bench.core.types import Budget
from bench.suite.specs import Storage


def encode(points: Tensor, clean: Tensor, storage: Storage) -> NDArray[Any]:
    """Return the array that is stored for adversarial images `[b,3,h,w]` in [0,1].

    Args:
        points: The adversarial images.
        clean: The clean images, `[b,3,h,w]` in [0,1].
        storage: The form of storage.
    """
    match storage:
        case "float16":
            kept = (points - clean).half()
        case "uint8-truncate":  # as torchvision's ToPILImage converts a float tensor
            kept = points.mul(255).byte()
        case "uint8-round":
            kept = points.mul(255).round().byte()
    return kept.cpu().numpy()


def decode(kept: NDArray[Any], clean: Tensor, budget: Budget, storage: Storage) -> Tensor:
    """Return the adversarial images `[b,3,h,w]` in [0,1] to score, from the stored array."""
    stored = torch.from_numpy(kept).to(clean.device).float()
    return project(clean + stored, clean, budget) if storage == "float16" else stored / 255
