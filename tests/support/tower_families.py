"""Small randomly initialised vision towers of further families, each in its library's own class."""

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.support.towers import PATCH, SIZE, WIDTH, hugging_face, timm, timm_tower, transformers

from timm.layers import HybridEmbed, LayerNorm  # isort: skip  # both need torchvision's stand-in
from timm.models import vitamin  # isort: skip
from timm.models.vision_transformer_hybrid import ConvStem  # isort: skip
from timm.models.vision_transformer_relpos import VisionTransformerRelPos  # isort: skip
from transformers.models.idefics3 import modeling_idefics3  # isort: skip
from transformers.models.phi4_multimodal import modeling_phi4_multimodal  # isort: skip
from transformers.models.qwen2_vl import modeling_qwen2_vl  # isort: skip
from transformers.models.smolvlm import modeling_smolvlm  # isort: skip

_EVA: dict[str, Any] = {
    "img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": 2, "num_heads": 2,
    "num_classes": 0, "mlp_ratio": 2,
}  # fmt: skip
_ROTARY: dict[str, Any] = {"use_rot_pos_emb": True, "ref_feat_shape": (4, 4)}


def _timm(trunk: nn.Module) -> nn.Module:
    """Return what open_clip builds around a trunk of timm."""
    tower = timm_tower()
    tower.trunk = trunk
    return tower


def _eva(**settings: Any) -> nn.Module:
    return _timm(timm.models.eva.Eva(**{**_EVA, **settings}))


def _behind_a_stem(stem: nn.Module, **settings: Any) -> nn.Module:
    trunk = timm.models.vision_transformer.VisionTransformer(
        img_size=SIZE, patch_size=1, embed_dim=WIDTH, depth=2, num_heads=2, num_classes=0,
        embed_layer=partial(HybridEmbed, backbone=stem, proj=False), **settings,
    )  # fmt: skip
    return _timm(trunk)


def _vitamin() -> nn.Module:
    convolutions = vitamin.VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6)
    stem = vitamin.MbConvStages(
        vitamin.VitCfg(
            embed_dim=(16, 24, WIDTH), depths=(1, 1, 1), stem_width=8, conv_cfg=convolutions
        )
    )
    return _behind_a_stem(
        stem, mlp_layer=vitamin.GeGluMlp, mlp_ratio=2.0, class_token=False, global_pool="avg"
    )


def _mobileclip() -> nn.Module:
    stem = ConvStem(
        channels=(8, 16, WIDTH), stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=0,
        act_layer=nn.GELU,
    )  # fmt: skip
    return _behind_a_stem(stem, no_embed_class=True)


def _relative() -> nn.Module:
    trunk = VisionTransformerRelPos(
        img_size=SIZE, patch_size=PATCH, embed_dim=WIDTH, depth=2, num_heads=2, num_classes=0,
        class_token=True, global_pool="token",
    )  # fmt: skip
    return _timm(trunk)


def _small(kind: type[Any], config: type[Any], **settings: Any) -> nn.Module:
    tower: nn.Module = kind(
        config(
            image_size=SIZE, patch_size=PATCH, hidden_size=WIDTH, intermediate_size=48,
            num_hidden_layers=2, num_attention_heads=2, **settings,
        )
    )  # fmt: skip
    return tower


def _mllama() -> nn.Module:
    config = transformers.models.mllama.configuration_mllama.MllamaVisionConfig(
        image_size=SIZE, patch_size=PATCH, hidden_size=WIDTH, intermediate_size=48,
        num_hidden_layers=2, num_global_layers=1, attention_heads=2, vision_output_dim=2 * WIDTH,
        intermediate_layers_indices=[1],
    )  # fmt: skip
    tower: nn.Module = transformers.MllamaVisionModel(config)
    return tower


def _qwen2() -> nn.Module:
    config = transformers.Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": WIDTH, "hidden_size": 24, "num_heads": 2,
                       "mlp_ratio": 2, "patch_size": PATCH}
    ).vision_config  # fmt: skip
    tower: nn.Module = modeling_qwen2_vl.Qwen2VisionTransformerPretrainedModel(config)
    return tower


def _naflex() -> nn.Module:
    config = transformers.Siglip2VisionConfig(
        patch_size=PATCH, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_patches=16,
    )  # fmt: skip
    tower: nn.Module = transformers.Siglip2VisionModel(config)
    return tower


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "eva-01": partial(_eva, global_pool="token"),
    "eva-01-post-norm": partial(_eva, global_pool="token", use_post_norm=True),
    "eva-02": partial(_eva, swiglu_mlp=True, scale_mlp=True, init_values=0.1, **_ROTARY),
    "eva-02-l": partial(
        _eva, qkv_fused=False, swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True, **_ROTARY
    ),
    "pe-core": partial(
        _eva, attn_type="rope", use_pre_transformer_norm=True, global_pool="map",
        rope_grid_offset=1.0, rope_grid_indexing="xy", norm_layer=partial(LayerNorm, eps=1e-5),
        **_ROTARY,
    ),
    "timm-dinov3": partial(
        _eva, num_reg_tokens=4, use_abs_pos_emb=False, use_rot_pos_emb=True, rope_type="dinov3",
        init_values=0.1,
    ),
    "vitamin": _vitamin,
    "mobileclip-b": _mobileclip,
    "relative-positions": _relative,
    "intern-vit": lambda: hugging_face(
        "InternVLVisionModel", "InternVLVisionConfig", use_qk_norm=True
    ),
    "dinov2": lambda: hugging_face("Dinov2Model", "Dinov2Config", mlp_ratio=2),
    "dinov2-registers": lambda: hugging_face(
        "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", num_register_tokens=4, mlp_ratio=2
    ),
    "dinov3": lambda: hugging_face("DINOv3ViTModel", "DINOv3ViTConfig", num_register_tokens=4),
    "idefics3": lambda: _small(
        modeling_idefics3.Idefics3VisionTransformer,
        transformers.models.idefics3.configuration_idefics3.Idefics3VisionConfig,
    ),
    "smolvlm": lambda: _small(
        modeling_smolvlm.SmolVLMVisionTransformer,
        transformers.models.smolvlm.configuration_smolvlm.SmolVLMVisionConfig,
    ),
    "phi4": lambda: _small(
        modeling_phi4_multimodal.Phi4MultimodalVisionModel,
        transformers.models.phi4_multimodal.configuration_phi4_multimodal.Phi4MultimodalVisionConfig,
    ),
    "clipseg": lambda: hugging_face("CLIPSegVisionModel", "CLIPSegVisionConfig"),
    "instructblip": lambda: hugging_face("InstructBlipVisionModel", "InstructBlipVisionConfig"),
    "mllama": _mllama,
    "pixtral": lambda: hugging_face("PixtralVisionModel", "PixtralVisionConfig"),
    "siglip2-naflex": _naflex,
    "qwen2-vl": _qwen2,
}  # fmt: skip
PREFIX = {  # class tokens and registers; 1 for other families
    **dict.fromkeys(("timm-dinov3", "dinov2-registers", "dinov3"), 5),
    **dict.fromkeys(("vitamin", "idefics3", "smolvlm", "phi4"), 0),
    **dict.fromkeys(("pixtral", "siglip2-naflex", "qwen2-vl"), 0),
}


def build_family(name: str, seed: int = 0) -> nn.Module:
    """Return a frozen tower in which every parameter matters, gates and scales included."""
    return copy.deepcopy(_built(name, seed))


@cache
def _built(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    tower = FAMILIES[name]().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in tower.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2 + 0.05
    return tower


def family_images(count: int = 2, size: tuple[int, int] = (SIZE, SIZE)) -> Tensor:
    """Return images in [0,1]."""
    return torch.rand((count, 3, *size), generator=torch.Generator().manual_seed(3))
