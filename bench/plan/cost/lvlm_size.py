"""Size of a vision-language model from its configuration, without its weights and without torch.

Parameter counts are exact for the model classes of transformers 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# defaults of the configuration classes, which configuration files leave out
_TEXT = {
    "llama": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32,
    },
    "mistral": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a transformer.

    Attributes:
        layers: Number of blocks. LLaVA reads the output of the second to last block of its tower,
            but the activations of the last block are stored too.
        width: Size of a token's embedding.
        parameters: Number of parameters of one block.
        kept: Numbers in the model's precision that autograd stores per token and block.
        kept_fp32: Numbers that autograd always stores in fp32, per token and block.
    """

    layers: int
    width: int
    parameters: int
    kept: int
    kept_fp32: int

    def kept_bytes(self, number_bytes: int) -> int:
        """Return the bytes stored per token and block; `number_bytes` is 4 in fp32, 2 in half."""
        return number_bytes * self.kept + 4 * self.kept_fp32


@dataclass(frozen=True, slots=True)
class LvlmSize:
    """Size of a vision-language model.

    Attributes:
        vision: Number of parameters of the vision tower.
        projector: Number of parameters of the projector from the tower to the language model.
        language: Number of parameters of the language model, with embedding and output head.
        tower: Blocks of the tower.
        text: Blocks of the language model.
        projector_blocks: Numbers that autograd stores in the projector per token of the tower.
        patch: Numbers of a patch, which autograd stores for the tower's embedding.
        vocabulary: Number of tokens in the vocabulary.
        cached: Numbers in the key-value cache per token, over all layers.
    """

    vision: int
    projector: int
    language: int
    tower: Blocks
    text: Blocks
    projector_blocks: Blocks
    patch: int
    vocabulary: int
    cached: int

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole model."""
        return self.vision + self.projector + self.language


def lvlm_size(config: Mapping[str, Any]) -> LvlmSize:
    """Return a model's size.

    Args:
        config: The content of its `config.json`.

    Raises:
        KeyError: The model type is not supported, or a number is missing.
    """
    vision, text = config["vision_config"], _text_config(config)
    language, blocks = _language(text, _tied(config, text))
    heads = text.get("num_key_value_heads") or text["num_attention_heads"]
    count = {
        "llava": _clip, "llava_next": _clip, "llava_onevision": _siglip,
        "qwen2_5_vl": _qwen2_5, "qwen3_vl": _qwen3,
    }[config["model_type"]]  # fmt: skip
    tower, projector, tower_blocks, projector_blocks = count(config, vision, text["hidden_size"])
    return LvlmSize(
        tower, projector, language, tower_blocks, blocks, projector_blocks, _patch(config),
        text["vocab_size"], 2 * heads * _head(text) * text["num_hidden_layers"],
    )  # fmt: skip


def _text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the language model's configuration; Qwen2.5-VL's files have it at the top level."""
    text = dict(config.get("text_config") or config)
    return {**_TEXT.get(text.get("model_type", ""), {}), **text}


_TowerCounts = tuple[int, int, Blocks, Blocks]


def _tied(config: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    return bool(config.get("tie_word_embeddings") or text.get("tie_word_embeddings"))


def _head(text: Mapping[str, Any]) -> int:
    return int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])


def _language(text: Mapping[str, Any], tied: bool) -> tuple[int, Blocks]:
    width, hidden, head = text["hidden_size"], text["intermediate_size"], _head(text)
    queries = text["num_attention_heads"] * head
    keys = (text.get("num_key_value_heads") or text["num_attention_heads"]) * head
    kind = str(text.get("model_type", ""))
    biased, normed = kind.startswith("qwen2"), kind.startswith("qwen3")
    block = (
        2 * width * (queries + keys)
        + (queries + 2 * keys) * biased
        + 2 * head * normed
        + 3 * width * hidden
        + 2 * width
    )
    blocks = Blocks(
        text["num_hidden_layers"], width, block,
        # attention: queries, output, and keys and values repeated for each query head;
        # MLP: gate, its activation, and the up projection
        kept=4 * queries + 3 * hidden,
        kept_fp32=2 * width + (queries + keys) * normed,
    )  # fmt: skip
    ends = text["vocab_size"] * width * (1 if tied else 2) + width
    return blocks.layers * block + ends, blocks


def _clip(config: Mapping[str, Any], vision: Mapping[str, Any], language: int) -> _TowerCounts:
    width, hidden = vision["hidden_size"], vision["intermediate_size"]
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
    ends = width * (3 * vision["patch_size"] ** 2 + 1 + tokens) + 4 * width
    blocks = _plain(vision, hidden * (2 if _quick(vision) else 1))
    parameters = vision["num_hidden_layers"] * blocks.parameters + ends
    return parameters, *_projected(config, width, language, blocks)


def _quick(vision: Mapping[str, Any]) -> bool:
    return bool(vision.get("hidden_act", "quick_gelu") == "quick_gelu")  # autograd stores two


def _siglip(config: Mapping[str, Any], vision: Mapping[str, Any], language: int) -> _TowerCounts:
    width = vision["hidden_size"]
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2
    blocks = _plain(vision, vision["intermediate_size"])
    ends = width * (3 * vision["patch_size"] ** 2 + 1 + tokens) + 2 * width
    if vision.get("vision_use_head", True):  # a query, its attention, norm and MLP
        ends += width + blocks.parameters - 2 * width
    parameters = vision["num_hidden_layers"] * blocks.parameters + ends
    return parameters, *_projected(config, width, language, blocks)


def _plain(vision: Mapping[str, Any], activation: int) -> Blocks:
    """Return the blocks of CLIP's or SigLIP's vision tower."""
    layers = vision.get("num_hidden_layers") or vision["depth"]
    width, hidden = vision["hidden_size"], vision["intermediate_size"]
    block = 4 * (width + 1) * width + 4 * width + 2 * width * hidden + hidden + width
    # two norms' inputs; queries, keys, values and output
    return Blocks(layers, width, block, kept=6 * width + activation, kept_fp32=0)


def _projected(
    config: Mapping[str, Any], width: int, language: int, blocks: Blocks
) -> tuple[int, Blocks, Blocks]:
    bias = language if config.get("multimodal_projector_bias", True) else 0
    layers = config.get("vision_feature_layer", -1)
    taken = width * (len(layers) if isinstance(layers, list) else 1)
    newline = 0 if config["model_type"] == "llava" else language
    projector = taken * language + language**2 + 2 * bias + newline
    return projector, blocks, Blocks(1, width, 0, kept=language, kept_fp32=0)


def _qwen2_5(config: Mapping[str, Any], vision: Mapping[str, Any], language: int) -> _TowerCounts:
    width, hidden, square = vision["hidden_size"], vision["intermediate_size"], _square(vision)
    block = 4 * (width + 1) * width + 3 * width * hidden + 2 * hidden + width + 2 * width
    # queries, keys and values are views of one tensor, so the values keep all of it in memory
    blocks = Blocks(vision["depth"], width, block, kept=6 * width + 3 * hidden, kept_fp32=2 * width)
    patches = _patch(config) * width
    merger = width + _merger(width * square, language)
    return (
        blocks.layers * block + patches, merger, blocks,
        Blocks(1, width, 0, kept=width, kept_fp32=width),
    )  # fmt: skip


def _qwen3(config: Mapping[str, Any], vision: Mapping[str, Any], language: int) -> _TowerCounts:
    width, square = vision["hidden_size"], _square(vision)
    plain = _plain(vision, 0)
    kept = 8 * width + vision["intermediate_size"]
    blocks = Blocks(plain.layers, width, plain.parameters, kept, kept_fp32=0)
    ends = (_patch(config) + 1 + vision["num_position_embeddings"]) * width
    merged, deep = width * square, len(vision["deepstack_visual_indexes"])
    merger = 2 * width + _merger(merged, language)
    merger += deep * (2 * merged + _merger(merged, language))
    return (
        blocks.layers * plain.parameters + ends, merger, blocks,
        Blocks(1, width, 0, kept=2 * width * (1 + deep), kept_fp32=0),
    )  # fmt: skip


def _square(vision: Mapping[str, Any]) -> int:
    return int(vision.get("spatial_merge_size", 2) ** 2)


def _patch(config: Mapping[str, Any]) -> int:
    """Return the numbers of a patch; Qwen's patches span two frames."""
    vision = config["vision_config"]
    frames = vision.get("temporal_patch_size", 2 if "qwen" in config["model_type"] else 1)
    return int(3 * frames * vision["patch_size"] ** 2)


def _merger(merged: int, language: int) -> int:
    return (merged + 1) * merged + (merged + 1) * language
