"""Small vision-language models of transformers' own classes, saved as their repositories are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.core.torchvision_shim import ensure_torchvision
from bench.models.language.tiny_models import LETTERS as ALL_LETTERS
from bench.models.language.tiny_models import (
    VICUNA_TEMPLATE,
    ids,
    save,
    seeded,
    vocabulary_of,
)

ensure_torchvision()  # which transformers imports when it is used

PIXELS = 32  # of a small tower
VISION: dict[str, Any] = {
    "image_size": PIXELS, "patch_size": 8, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 3, "num_attention_heads": 2,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip
# without `-`, with which the random weights would give equal answers to all images
LETTERS = ALL_LETTERS.replace("-", "")
WORDS = ("cat", "dog", "the", "ab", "is", "yes", "no")

# templates that put a chat into the same form as the published ones do
MISTRAL = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'][0]['text'] + '</s>' }}{% endif %}{% endfor %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def small_llava(folder: Path, seed: int = 1) -> Any:
    """Write a LLaVA-1.5 into a folder and return its model."""
    config, processor = llava_parts(VISION, TEXT)
    return saved(transformers.LlavaForConditionalGeneration, config, processor, folder, seed)


def llava_parts(vision: dict[str, Any], text: dict[str, Any]) -> tuple[Any, Any]:
    """Return the configuration of a LLaVA-1.5 and its processor, with a small tokenizer.

    Args:
        vision: Settings of its CLIP tower.
        text: Settings of its Llama.
    """
    tokenizer, pixels = llama_tokenizer(), vision["image_size"]
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision),
        text_config=transformers.LlamaConfig(**{**ids(tokenizer), **text}),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.LlavaProcessor(
        transformers.LlavaImageProcessor(
            size={"shortest_edge": pixels}, crop_size={"height": pixels, "width": pixels}
        ),
        tokenizer,
        patch_size=vision["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA_TEMPLATE,
    )
    return config, processor


def small_llava_next(folder: Path, seed: int = 1) -> Any:
    """Write a LLaVA-Next, which cuts an image into tiles, into a folder; return its model."""
    tokenizer = llama_tokenizer()
    grids = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=transformers.MistralConfig(**TEXT, **ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
    )
    processor = transformers.LlavaNextProcessor(
        transformers.LlavaNextImageProcessor(
            size={"shortest_edge": PIXELS}, crop_size={"height": PIXELS, "width": PIXELS},
            image_grid_pinpoints=grids,
        ),
        tokenizer,
        patch_size=VISION["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=MISTRAL,
    )  # fmt: skip
    return saved(transformers.LlavaNextForConditionalGeneration, config, processor, folder, seed)


def small_onevision(folder: Path, seed: int = 1) -> Any:
    """Write a LLaVA-OneVision, with a SigLIP for its tower, into a folder; return its model."""
    tokenizer = qwen_tokenizer(("<image>", "<video>"))
    grids = [[32, 32], [32, 64], [64, 32], [64, 64], [96, 64], [64, 96]]
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=transformers.Qwen2Config(**TEXT, **ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
    )
    size = {"height": PIXELS, "width": PIXELS}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grids, **half),
        tokenizer,
        transformers.LlavaOnevisionVideoProcessor(size=size, **half),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=CHATML_TEMPLATE,
    )
    return saved(
        transformers.LlavaOnevisionForConditionalGeneration, config, processor, folder, seed
    )


SMALL: dict[str, Callable[[Path], Any]] = {
    "llava": small_llava,
    "llava_next": small_llava_next,
    "llava_onevision": small_onevision,
}


def saved(kind: Any, config: Any, processor: Any, folder: Path, seed: int = 0) -> Any:
    """Write a model and its processor into a folder and return the model."""
    with seeded(seed):
        model = kind(config).eval()
    tokenizer = processor.tokenizer
    silent = set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:  # as initialised, answers hardly depend on the image
                weight.mul_(8 if "lm_head" in name else 4)
        model.get_output_embeddings().weight[sorted(silent)] = (
            0  # so that answers are words and letters
        )
    save(model, processor, folder)
    return model


def llama_tokenizer() -> Any:
    """Return a small tokenizer of Llama's class with an image token."""
    vocabulary, merges = vocabulary_of(
        ["<unk>", "<s>", "</s>", "<0x0A>", "▁", *LETTERS], "▁", WORDS
    )
    tokenizer = transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<image>"]})
    return tokenizer


def qwen_tokenizer(specials: tuple[str, ...]) -> Any:
    """Return a small tokenizer of Qwen's class with some more special tokens."""
    # a blank, a line's end, and two of these, which are one token of the real ones as well
    vocabulary, merges = vocabulary_of(["Ġ", "Ċ", "ĊĊ", *LETTERS], "Ġ", WORDS)
    merges.append(("Ċ", "Ċ"))
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary, merges=merges, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", *specials]})
    return tokenizer
