"""A small CLIP and a small SigLIP of transformers, saved as their repositories hold them."""

import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers

from bench.core.torchvision_shim import ensure_torchvision

ensure_torchvision()  # which transformers imports when it is used

_VISION = {
    "image_size": 32, "patch_size": 8, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
_TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def small_clip(folder: Path, **vision: Any) -> Any:
    """Write a CLIP into a folder and return its model."""
    torch.manual_seed(0)
    words = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS)]
    specials = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate([*words, *specials])}
    text = {
        **_TEXT, "vocab_size": len(vocabulary), "max_position_embeddings": 77,
        "eos_token_id": vocabulary[specials[1]], "bos_token_id": vocabulary[specials[0]],
    }  # fmt: skip
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**_VISION, **vision}, projection_dim=16
    )
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)
    transformers.CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(
        folder
    )
    return model


def small_siglip(folder: Path, **vision: Any) -> Any:
    """Write a SigLIP into a folder and return its model."""
    torch.manual_seed(0)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([_LETTERS, *_LETTERS, "a photo of a dog", "a photo of a cat"] * 20),
        model_prefix=str(folder / "spiece"), vocab_size=35, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        minloglevel=2,
    )  # fmt: skip
    (folder / "spiece.vocab").unlink()
    tokenizer = {
        "tokenizer_class": "SiglipTokenizer", "do_lower_case": True, "model_max_length": 64,
        "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>",
        "model_input_names": ["input_ids"],
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    text = {**_TEXT, "vocab_size": 35, "max_position_embeddings": 64, "projection_size": 32}
    config = transformers.SiglipConfig(text_config=text, vision_config={**_VISION, **vision})
    model = transformers.SiglipModel(config).eval()
    model.save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return model
