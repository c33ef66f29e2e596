"""Small vision towers of Qwen2.5-VL and Qwen3-VL, of transformers' own classes."""

from typing import Any

import torch
import transformers
from torch import nn

from bench.compat import ensure_torchvision

ensure_torchvision()  # which transformers imports when it is used

from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl  # noqa: E402  needs torchvision
from transformers.models.qwen3_vl import modeling_qwen3_vl  # noqa: E402

WIDTH = 32
KINDS = ("qwen2_5_vl", "qwen3_vl")
PATCH = {"qwen2_5_vl": 14, "qwen3_vl": 16}
VISION: dict[str, dict[str, Any]] = {
    "qwen2_5_vl": {
        "depth": 2, "hidden_size": WIDTH, "intermediate_size": 48, "num_heads": 2,
        "out_hidden_size": 32, "window_size": 56, "fullatt_block_indexes": [1],
    },
    "qwen3_vl": {
        "depth": 2, "hidden_size": WIDTH, "intermediate_size": 48, "num_heads": 2,
        "out_hidden_size": 32, "num_position_embeddings": 36, "deepstack_visual_indexes": [0],
    },
}  # fmt: skip


def build(kind: str) -> nn.Module:
    """Return a frozen tower whose first attention depends much on its tokens and positions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "qwen2_5_vl":
            config = transformers.Qwen2_5_VLConfig(vision_config=VISION[kind]).vision_config
            tower = modeling_qwen2_5_vl.Qwen2_5_VisionTransformerPretrainedModel(config)
        else:
            config = transformers.Qwen3VLConfig(vision_config=VISION[kind]).vision_config
            tower = modeling_qwen3_vl.Qwen3VLVisionModel(config)
        for name, weight in tower.named_parameters():
            with torch.no_grad():
                if name.endswith("bias"):  # zero as initialised, which trained ones are not
                    weight.normal_(0, 0.2)
                elif weight.ndim > 1:
                    weight.mul_(100 if "pos_embed" in name else 8)
    frozen: nn.Module = tower.eval().requires_grad_(False)
    return frozen
