"""Small random vision towers of each kind that radapt knows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.compat import ensure_torchvision

ensure_torchvision()
from open_clip.transformer import VisionTransformer  # noqa: E402

SIZE = 16  # pixels; patches of 8 make four tokens and, but for SigLIP, a class token


def open_clip_tower(**changes: Any) -> nn.Module:
    shape = {"image_size": SIZE, "patch_size": 8, "width": 32, "heads": 4, "layers": 3}
    tower: nn.Module = VisionTransformer(**{**shape, "mlp_ratio": 2, "output_dim": 16, **changes})
    return tower


def hugging_face_tower(kind: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    family = "Siglip" if kind.startswith("Siglip") else "CLIP"
    config = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3}
    config |= {"num_attention_heads": 4, "image_size": SIZE, "patch_size": 8}
    shape = getattr(transformers, f"{family}VisionConfig")(**config)
    tower: nn.Module = getattr(transformers, kind)(shape)
    return tower


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "open_clip": open_clip_tower,
    "open_clip, scaled": lambda: open_clip_tower(
        ls_init_value=0.5, attentional_pool=True, attn_pooler_heads=4, pos_embed_type="sin_cos_2d"
    ),
    "CLIPVisionModel": lambda: hugging_face_tower("CLIPVisionModel"),
    "CLIPVisionModelWithProjection": lambda: hugging_face_tower("CLIPVisionModelWithProjection"),
    "SiglipVisionModel": lambda: hugging_face_tower("SiglipVisionModel"),
}


def randomised(tower: nn.Module, seed: int) -> nn.Module:
    """Leave no parameter at a constant, so that each one counts in the output."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in tower.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3 + 0.1
    return tower.eval().requires_grad_(False)


def pixels(count: int = 2, seed: int = 2) -> Tensor:
    """Return images in [0,1]."""
    return torch.rand((count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(seed))


def embedding(tower: nn.Module, inputs: Tensor) -> Tensor:
    found = tower(inputs)
    if isinstance(found, Tensor):
        return found
    value: Tensor = found["image_embeds" if "image_embeds" in found else "pooler_output"]
    return value
