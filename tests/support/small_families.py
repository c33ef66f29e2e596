"""Small models of further families, of transformers' own classes, saved as their repositories are.

Their text models are Llama, Qwen2, Gemma 2 and Gemma 3, as in the published models, and their image
processors cut tiles and crops of 32 pixels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.models.language.tiny_models import CHATML_TEMPLATE as QWEN_TEMPLATE
from bench.models.language.tiny_models import VICUNA_TEMPLATE, VISION_TOKENS, ids, vocabulary_of
from tests.support import small_language
from tests.support.small_language import CHATML_TEMPLATE, PIXELS, TEXT, VISION, saved

_SIZE = {"height": PIXELS, "width": PIXELS}
_HALF: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_SIGLIP = {**VISION, "vision_use_head": False}
_GEMMA: dict[str, Any] = {
    **TEXT, "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16,
    "sliding_window": 64,
}  # fmt: skip
_GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    "{% for part in message['content'] %}"
    "{{ '<start_of_image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_IDEFICS_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'].capitalize() + ':' }}"
    "{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{{ '<end_of_utterance>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{% for part in message['content'] %}"
    "{{ '<|image|>' if part['type'] == 'image' else part['text'] }}{% endfor %}{{ '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def small_qwen2_vl(folder: Path, seed: int = 1) -> Any:
    """Write a Qwen2-VL into a folder and return its model."""
    tokenizer = small_language.qwen_tokenizer(VISION_TOKENS)
    start, end, image, film = tokenizer.convert_tokens_to_ids(list(VISION_TOKENS))
    config = transformers.Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 32},
        text_config={
            **TEXT, **ids(tokenizer), "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
        vision_start_token_id=start, vision_end_token_id=end, image_token_id=image,
        video_token_id=film,
    )  # fmt: skip
    processor = transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(size={"shortest_edge": 64**2, "longest_edge": 128**2}),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(),
        chat_template=QWEN_TEMPLATE,
    )
    return saved(transformers.Qwen2VLForConditionalGeneration, config, processor, folder, seed)


def small_internvl(folder: Path, seed: int = 1) -> Any:
    """Write an InternVL 3, which cuts an image into at most four tiles, into a folder."""
    named = {
        "start_image_token": "<img>", "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
    }  # fmt: skip
    tokenizer = _byte_tokenizer(named)
    config = transformers.InternVLConfig(
        vision_config={**VISION, "image_size": [PIXELS] * 2, "patch_size": [8, 8]},
        text_config=transformers.Qwen2Config(**TEXT, **ids(tokenizer)),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    processor = transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessor(size=_SIZE, min_patches=1, max_patches=4),
        tokenizer,
        transformers.InternVLVideoProcessor(size=_SIZE),
        image_seq_length=4,
        chat_template=CHATML_TEMPLATE.replace("<image>", "<IMG_CONTEXT>"),
    )
    return saved(transformers.InternVLForConditionalGeneration, config, processor, folder, seed)


def small_gemma3(folder: Path, seed: int = 1) -> Any:
    """Write a Gemma 3 into a folder and return its model."""
    named = {
        "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }  # fmt: skip
    tokenizer = _gemma_tokenizer(named)
    layers = {"layer_types": ["sliding_attention", "full_attention"]}
    config = transformers.Gemma3Config(
        vision_config=transformers.SiglipVisionConfig(**_SIGLIP),
        text_config=transformers.Gemma3TextConfig(**_GEMMA, **layers, **ids(tokenizer)),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = transformers.Gemma3Processor(
        transformers.Gemma3ImageProcessor(size=_SIZE, resample=2, **_HALF),
        tokenizer,
        image_seq_length=4,
        chat_template=_GEMMA_TEMPLATE,
    )
    return saved(_with_gemmas_projector, config, processor, folder, seed)


def _with_gemmas_projector(config: Any) -> Any:
    """Return a Gemma 3 that sees the image: as initialised, its projector is zero."""
    model = transformers.Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        model.model.multi_modal_projector.mm_input_projection_weight.normal_(0, 0.02)
    return model


def small_paligemma(folder: Path, seed: int = 1) -> Any:
    """Write a PaliGemma 2, which has no chat template, into a folder and return its model."""
    tokenizer = _gemma_tokenizer({"image_token": "<image>"})
    processor = transformers.PaliGemmaProcessor(
        transformers.SiglipImageProcessor(size=_SIZE, image_seq_length=16, **_HALF), tokenizer
    )
    config = transformers.PaliGemmaConfig(
        vision_config=transformers.SiglipVisionConfig(**_SIGLIP),
        text_config=transformers.Gemma2Config(
            **_GEMMA, **ids(tokenizer), attn_logit_softcapping=5.0, final_logit_softcapping=5.0
        ),
        image_token_index=tokenizer.image_token_id,
        projection_dim=TEXT["hidden_size"],
        tie_word_embeddings=False,
    )
    return saved(transformers.PaliGemmaForConditionalGeneration, config, processor, folder, seed)


def small_idefics3(folder: Path, seed: int = 1) -> Any:
    """Write an Idefics3, which cuts an image into many tiles, into a folder."""
    return _idefics3("Idefics3", folder, seed)


def small_smolvlm(folder: Path, seed: int = 1) -> Any:
    """Write a SmolVLM2 into a folder and return its model."""
    return _idefics3("SmolVLM", folder, seed)


def _idefics3(name: str, folder: Path, seed: int) -> Any:
    tiles = [f"<row_{row + 1}_col_{column + 1}>" for row in range(3) for column in range(3)]
    marks = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    tokenizer = _byte_tokenizer({}, *marks, *tiles)
    config = getattr(transformers, f"{name}Config")(
        vision_config=VISION,
        text_config=transformers.LlamaConfig(**TEXT, **ids(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = getattr(transformers, f"{name}ImageProcessor")(
        size={"longest_edge": 3 * PIXELS}, max_image_size={"longest_edge": PIXELS}
    )
    films = [transformers.SmolVLMVideoProcessor()] if name == "SmolVLM" else []
    processor = getattr(transformers, f"{name}Processor")(
        images, tokenizer, *films, image_seq_len=4, chat_template=_IDEFICS_TEMPLATE
    )
    kind = getattr(transformers, f"{name}ForConditionalGeneration")
    return saved(kind, config, processor, folder, seed)


def small_mllama(folder: Path, seed: int = 1) -> Any:
    """Write a Llama 3.2 Vision, which reads images by cross-attention, into a folder."""
    tokenizer = _byte_tokenizer(
        {}, "<|image|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>",
        bos="<|begin_of_text|>", eos="<|eot_id|>",
    )  # fmt: skip
    config = transformers.MllamaConfig(
        vision_config={
            **{name: VISION[name] for name in ("image_size", "patch_size", "intermediate_size")},
            "hidden_size": 32, "num_hidden_layers": 2, "num_global_layers": 1,
            "attention_heads": 2, "intermediate_layers_indices": [0], "vision_output_dim": 64,
            "max_num_tiles": 4,
        },
        text_config={**TEXT, **ids(tokenizer), "cross_attention_layers": [1]},
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )  # fmt: skip
    processor = transformers.MllamaProcessor(
        transformers.MllamaImageProcessor(size=_SIZE, max_image_tiles=4),
        tokenizer,
        chat_template=_LLAMA_TEMPLATE,
    )
    return saved(_with_open_gates, config, processor, folder, seed)


def _with_open_gates(config: Any) -> Any:
    """Return a Llama 3.2 Vision that reads the image: as initialised, its gates are closed."""
    model = transformers.MllamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "gate" in name and weight.ndim == 1:
                weight.fill_(0.5)
    return model


def small_instructblip(folder: Path, seed: int = 1) -> Any:
    """Write an InstructBLIP with a Llama, which has no chat template, into a folder."""
    tokenizer = small_language.llama_tokenizer()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz?,."]
    pieces = [*words, *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    reader = transformers.BertTokenizer(vocab={piece: at for at, piece in enumerate(pieces)})
    reader_config = {
        "vocab_size": len(pieces), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 48, "encoder_hidden_size": 32,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    config = transformers.InstructBlipConfig(
        vision_config={**VISION, "initializer_range": 0.02},
        qformer_config=reader_config,
        text_config=transformers.LlamaConfig(**TEXT, **ids(tokenizer)),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.InstructBlipProcessor(
        transformers.BlipImageProcessor(size=_SIZE), tokenizer, reader, num_query_tokens=4
    )
    return saved(transformers.InstructBlipForConditionalGeneration, config, processor, folder, seed)


def small_vipllava(folder: Path, seed: int = 1) -> Any:
    """Write a VipLLaVA, a family that the project does not know, into a folder."""
    tokenizer = small_language.llama_tokenizer()
    config = transformers.VipLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=transformers.LlamaConfig(**TEXT, **ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-2, -1],
    )
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": PIXELS}, crop_size=_SIZE),
        tokenizer,
        patch_size=VISION["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA_TEMPLATE,
    )
    return saved(transformers.VipLlavaForConditionalGeneration, config, processor, folder, seed)


FAMILIES: dict[str, Callable[[Path], Any]] = {
    "qwen2_vl": small_qwen2_vl,
    "internvl": small_internvl,
    "gemma3": small_gemma3,
    "paligemma": small_paligemma,
    "idefics3": small_idefics3,
    "smolvlm": small_smolvlm,
    "mllama": small_mllama,
    "instructblip": small_instructblip,
}


def without_num2words(monkeypatch: Any) -> None:
    """Let SmolVLM's processor start without a library that it needs for videos only."""
    from transformers.models.smolvlm import processing_smolvlm  # needs torchvision

    if processing_smolvlm.num2words is None:
        monkeypatch.setattr(processing_smolvlm, "num2words", str)


def _byte_tokenizer(
    named: dict[str, str], *specials: str, bos: str | None = None, eos: str = "<|im_end|>"
) -> Any:
    """Return a small tokenizer of Qwen's class, with special tokens with and without names."""
    vocabulary, merges = vocabulary_of(
        ["Ġ", "Ċ", "ĊĊ", *small_language.LETTERS], "Ġ", small_language.WORDS
    )
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary, merges=[*merges, ("Ċ", "Ċ")], bos_token=bos, eos_token=eos,
        pad_token="<|endoftext|>", extra_special_tokens=named,
    )  # fmt: skip
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>", *specials]},
        replace_extra_special_tokens=False,
    )
    return tokenizer


def _gemma_tokenizer(named: dict[str, str]) -> Any:
    vocabulary, merges = vocabulary_of(
        ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\n", "▁", *small_language.LETTERS],
        "▁",
        small_language.WORDS,
    )
    tokenizer = transformers.GemmaTokenizer(
        vocab=vocabulary, merges=merges, extra_special_tokens=named
    )
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]},
        replace_extra_special_tokens=False,
    )
    return tokenizer
