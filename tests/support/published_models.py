"""Tiny models as repositories of a hub, in the forms in which models are published."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers

from tests.support.hub_cache import folder_files
from tests.support.small_clip import CONFIG, MEAN, STD, hub_files, pickled, small_clip

# ruff: isort: split
import open_clip
import open_clip.factory
import open_clip.pretrained

WORDS = ("</s>", "<unk>", "<pad>", "a", "photo", "of", "cat", "dog", "bird", "number")
TEXT = {"context_length": 8, "vocab_size": len(WORDS), "width": 16, "heads": 2, "layers": 1}
Files = dict[str, bytes]


def tokenizer_files(*words: str) -> Files:
    """Return a tokenizer of whole words: `WORDS`, with `words` in place of the last ones."""
    known = [*WORDS[: len(WORDS) - len(words)], *words]
    model = tokenizers.models.WordLevel({w: i for i, w in enumerate(known)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>",
        "unk_token": "<unk>",
    }  # fmt: skip
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }


def roberta_config(heads: int = 2) -> bytes:
    """Return the configuration of a tiny text tower of transformers."""
    config = transformers.RobertaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=heads, max_position_embeddings=77, pad_token_id=2,
    )  # fmt: skip
    return json.dumps(config.to_dict()).encode()


def timm_config() -> bytes:
    """Return the configuration of a tiny image tower of timm."""
    args = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return json.dumps(
        {"architecture": "vit_tiny_patch16_224", "model_args": args, "pretrained_cfg": {}}
    ).encode()


def weights_of(config: dict[str, Any], **texts: Any) -> bytes:
    """Return random weights of a configuration; `texts` replace settings of its text tower."""
    torch.manual_seed(7)
    text = {**config["text_cfg"], **texts, "hf_model_pretrained": False}
    kind = open_clip.CustomTextCLIP if "hf_model_name" in text else open_clip.CLIP
    plain = {key: value for key, value in config.items() if key != "custom_text"}
    return pickled(kind(**{**plain, "text_cfg": text}).state_dict())


def register(
    monkeypatch: pytest.MonkeyPatch, name: str, repository: str, text: dict[str, Any]
) -> dict[str, Any]:
    """Make a model known to open_clip by name, with the tag `tiny`; return its configuration."""
    config = {**CONFIG, "text_cfg": text}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
    tag = {"hf_hub": f"{repository}/", "mean": MEAN, "std": STD}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"tiny": tag})
    return config


def with_text_tower(folder: Path, named: str, images: str = "") -> Files:
    """Return an open_clip repository whose text tower's configuration is in another repository.

    Args:
        folder: An empty folder to work in.
        named: Name of the other repository.
        images: Name of a third repository with the configuration of the image tower.
    """
    (folder / "config.json").write_bytes(roberta_config())
    (folder / "timm").mkdir()
    (folder / "timm" / "config.json").write_bytes(timm_config())
    text = {"hf_model_name": named, "hf_tokenizer_name": named, "hf_proj_type": "linear"}
    vision = {"image_size": 32, "timm_model_name": f"hf-hub:{images}", "timm_pool": "avg"}
    config = {**CONFIG, "text_cfg": text, **({"vision_cfg": vision} if images else {})}
    local = {**vision, "timm_model_name": f"local-dir:{folder / 'timm'}"}
    built = {**config, **({"vision_cfg": local} if images else {})}
    written = {"model_cfg": config, "preprocess_cfg": {"mean": list(MEAN), "std": list(STD)}}
    return {
        "open_clip_config.json": json.dumps(written).encode(),
        "open_clip_pytorch_model.bin": weights_of(built, hf_model_name=str(folder)),
        **tokenizer_files(),
    }


def plain_open_clip() -> Files:
    """Return an open_clip repository with CLIP's tokenizer."""
    return hub_files(small_clip())


def written(make: Any, folder: Path) -> Files:
    """Return the files that a function writes into a folder."""
    folder.mkdir()
    make(folder)
    return folder_files(folder)
