"""Adversarial images as they are kept, and as they are scored.

float16 keeps perturbations, and what is scored is brought back into the ball. The 8-bit forms
keep images, as papers that save PNGs do, and those are scored as they are: a pixel that was
cut or rounded may lie up to 1/255 beyond the budget.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.balls import project
from bench.core.types import Budget
from bench.suite.specs import Storage


def encode(points: Tensor, clean: Tensor, storage: Storage) -> NDArray[Any]:
    """Return points `[b,3,h,w]` around clean images in the form in which they are kept."""
    match storage:
        case "float16":
            kept = (points - clean).half()
        case "uint8-truncate":  # what torchvision's ToPILImage does to a float tensor
            kept = points.mul(255).byte()
        case "uint8-round":
            kept = points.mul(255).round().byte()
    return kept.cpu().numpy()


def decode(kept: NDArray[Any], clean: Tensor, budget: Budget, storage: Storage) -> Tensor:
    """Return the images `[b,3,h,w]` in [0,1] that are scored."""
    stored = torch.from_numpy(kept).to(clean.device).float()
    return project(clean + stored, clean, budget) if storage == "float16" else stored / 255
