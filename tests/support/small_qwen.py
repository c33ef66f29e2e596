"""Small models of Qwen2.5-VL and Qwen3-VL, of transformers' own classes."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from bench.core.torchvision_shim import ensure_torchvision
from bench.models.language.tiny_models import CHATML_TEMPLATE, VISION_TOKENS, seeded
from bench.models.language.tiny_models import ids as ids_of

ensure_torchvision()  # which transformers imports when it is used

from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl  # noqa: E402  needs torchvision
from transformers.models.qwen3_vl import modeling_qwen3_vl  # noqa: E402

from tests.support import small_language  # noqa: E402

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
    """Return a frozen tower whose first attention depends strongly on its tokens and positions."""
    with seeded(0):
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


# width of a head of the language model, and how much of half of it turns with time, row and column
HEAD: dict[str, tuple[int, list[int]]] = {
    "qwen2_5_vl": (16, [2, 3, 3]),
    "qwen3_vl": (16, [4, 2, 2]),
}


def small_qwen(
    kind: str, folder: Path, seed: int = 1, *, pixels: tuple[int, int] = (64**2, 128**2)
) -> Any:
    """Write a model into a folder and return it; `pixels` bounds the pixels of its images."""
    tokenizer = small_language.qwen_tokenizer(VISION_TOKENS)
    ids = dict(
        zip(VISION_TOKENS, tokenizer.convert_tokens_to_ids(list(VISION_TOKENS)), strict=True)
    )
    width, turned = HEAD[kind]
    third = kind == "qwen3_vl"
    text = {
        **small_language.TEXT, "num_key_value_heads": 1, **ids_of(tokenizer),
        "rope_parameters": {
            "rope_type": "default", "mrope_section": turned, "mrope_interleaved": third,
        },
        **({"head_dim": width} if third else {}),
    }  # fmt: skip
    marks = {
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
    }
    name = "Qwen3VL" if third else "Qwen2_5_VL"
    config = getattr(transformers, f"{name}Config")(
        vision_config=VISION[kind], text_config=text, **marks
    )
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3} if third else {}
    size = {"shortest_edge": pixels[0], "longest_edge": pixels[1]}
    films = "Qwen3VLVideoProcessor" if third else "Qwen2VLVideoProcessor"
    processor = getattr(transformers, f"{name}Processor")(
        transformers.Qwen2VLImageProcessor(size=size, patch_size=PATCH[kind], **half),
        tokenizer,
        getattr(transformers, films)(),
        chat_template=CHATML_TEMPLATE,
    )
    kind_of_model = getattr(transformers, f"{name}ForConditionalGeneration")
    return small_language.saved(kind_of_model, config, processor, folder, seed)
