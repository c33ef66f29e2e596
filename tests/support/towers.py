"""Small randomly initialised vision towers of every kind that R-Adapt supports."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bench.core.torchvision_shim import ensure_torchvision

ensure_torchvision()

import open_clip  # noqa: E402  needs torchvision
import timm  # noqa: E402
import transformers  # noqa: E402

SIZE, PATCH, WIDTH = 32, 8, 32


def open_clip_tower(quick_gelu: bool = False, **vision: Any) -> nn.Module:
    config = {"image_size": SIZE, "patch_size": PATCH, "width": WIDTH, "head_width": 16}
    clip = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={**config, "layers": 2, **vision},
        text_cfg={"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
        quick_gelu=quick_gelu,
    )
    tower: nn.Module = clip.visual
    return tower


def hugging_face(name: str, config: str, **extra: Any) -> nn.Module:
    settings = getattr(transformers, config)(
        image_size=SIZE, patch_size=PATCH, hidden_size=WIDTH, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=2, **extra,
    )  # fmt: skip
    tower: nn.Module = getattr(transformers, name)(settings)
    return tower


def timm_tower(**trunk: Any) -> nn.Module:
    """Return the tower that open_clip builds for SigLIP, with a smaller trunk."""
    tower: nn.Module = open_clip.timm_model.TimmModel(
        "test_vit", embed_dim=16, image_size=SIZE, pool="avg", proj="none"
    )
    tower.trunk = timm.models.vision_transformer.VisionTransformer(
        img_size=SIZE, patch_size=PATCH, embed_dim=WIDTH, depth=2, num_heads=2, num_classes=0,
        class_token=False, global_pool="map", **trunk,
    )  # fmt: skip
    return tower


TOWERS: dict[str, Callable[[], nn.Module]] = {
    "gelu": open_clip_tower,
    "quickgelu": lambda: open_clip_tower(quick_gelu=True),
    "average": lambda: open_clip_tower(pool_type="avg", final_ln_after_pool=True),
    "attention-pool": lambda: open_clip_tower(attentional_pool=True, attn_pooler_heads=2),
    "layer-scale": lambda: open_clip_tower(ls_init_value=0.1, no_ln_pre=True),
    "hf-clip": lambda: hugging_face("CLIPVisionModel", "CLIPVisionConfig"),
    "hf-clip-projection": lambda: hugging_face(
        "CLIPVisionModelWithProjection", "CLIPVisionConfig", projection_dim=16
    ),
    "hf-siglip": lambda: hugging_face("SiglipVisionModel", "SiglipVisionConfig"),
    "timm-siglip": timm_tower,
}
CLASS_TOKEN = {name: "siglip" not in name for name in TOWERS}


def build(name: str) -> nn.Module:
    """Return a frozen tower whose outputs are the same at every call."""
    torch.manual_seed(0)
    return TOWERS[name]().eval().requires_grad_(False)
