"""Files of other repositories that a model of open_clip needs: found, hashed, and opened."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.errors import CellError
from bench.hub.companions import companions_of
from bench.hub.files import HubFile
from bench.hub.open_clip_tags import builtin_config
from bench.hub.weights import hub_files, origin, weight_files
from bench.models import ClipModel, build_model
from bench.plan.resolve import fingerprint
from bench.suite.specs import OpenClipModel
from radapt.from_open_clip import load_open_clip
from tests.support.hub_cache import FIRST, offline, put
from tests.support.published_models import (
    TEXT,
    register,
    roberta_config,
    tokenizer_files,
    weights_of,
    with_text_tower,
)

# ruff: isort: split
import open_clip

WEIGHTS = "open_clip_pytorch_model.bin"
TEXTS = ["a photo of a cat", "a photo of a Dog!"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    offline(monkeypatch, tmp_path / "hub")
    return tmp_path / "hub"


def spec(name: str, pretrained: str | None = "tiny") -> OpenClipModel:
    return OpenClipModel(kind="open_clip", name=name, pretrained=pretrained)


def build(model: OpenClipModel) -> ClipModel:
    built = build_model(model, torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(built, ClipModel)
    return built


@pytest.fixture
def words(cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a model into the cache whose tokenizer is in another repository."""
    text = {**TEXT, "hf_tokenizer_name": "org/words", "tokenizer_kwargs": {"clean": "canonicalize"}}
    config = register(monkeypatch, "tiny-words", "org/tiny", text)
    put(cache, "org/tiny", {WEIGHTS: weights_of(config)})
    put(cache, "org/words", tokenizer_files())
    return config


def test_the_tokenizer_is_the_one_that_open_clip_opens(
    words: dict[str, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(cache / "models--org--words" / "snapshots" / FIRST)
    _, ours = load_open_clip("tiny-words", "tiny", folders={"hf_tokenizer_name": folder})
    # open_clip's own function, with a configuration that names the folder
    text = {**words["text_cfg"], "hf_tokenizer_name": folder}
    register(monkeypatch, "tiny-reference", "org/tiny", text)
    theirs = open_clip.get_tokenizer("tiny-reference")
    assert torch.equal(ours(TEXTS), theirs(TEXTS))
    assert ours(TEXTS).shape == (2, TEXT["context_length"])
    assert ours(TEXTS)[1].tolist() == [3, 4, 5, 3, 7, 2, 2, 2]  # "Dog!" is cleaned to "dog"


@pytest.mark.parametrize("how", ["tag", "file"])
def test_the_tokenizers_content_is_in_the_identity(
    how: str, words: dict[str, Any], cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(weights_of(words))
    model = spec("tiny-words", "tiny" if how == "tag" else str(tmp_path / "w.bin"))
    first, before = fingerprint(model), build(model).encode_text(TEXTS)
    put(cache, "org/words", tokenizer_files("dog", "cat", "bird", "number"))
    assert fingerprint(model) != first
    assert not torch.allclose(build(model).encode_text(TEXTS), before)
    put(cache, "org/words", tokenizer_files())
    assert fingerprint(model) == first
    origins = {"tag": f"org/tiny@{FIRST}", "file": ""}
    assert origin(model) == origins[how]  # of the weights, not of the tokenizer


def test_a_missing_tokenizer_is_named(words: dict[str, Any], cache: Path) -> None:
    for path in (cache / "models--org--words" / "snapshots" / FIRST).iterdir():
        path.unlink()
    with pytest.raises(CellError, match=r"org/words: vocab\.txt is not in the cache"):
        weight_files(spec("tiny-words"))


def test_the_architecture_of_a_text_tower_is_in_the_identity(cache: Path, tmp_path: Path) -> None:
    """The weights of a text tower with two or four heads have the same names and shapes."""
    files = with_text_tower(tmp_path, "tiny-roberta")
    put(cache, "org/text", files)
    put(cache, "tiny-roberta", {"config.json": roberta_config(heads=2)})
    model = spec("hf-hub:org/text", None)
    first, before = fingerprint(model), build(model).encode_text(TEXTS)
    put(cache, "tiny-roberta", {"config.json": roberta_config(heads=4)})
    assert fingerprint(model) != first
    assert not torch.allclose(build(model).encode_text(TEXTS), before)


def test_a_folder_with_a_text_tower_is_in_the_identity(tmp_path: Path) -> None:
    tower, whole = tmp_path / "tower", tmp_path / "whole"
    tower.mkdir()
    whole.mkdir()
    for name, content in with_text_tower(tower, str(tower)).items():
        (whole / name).write_bytes(content)
    model = spec(f"local-dir:{whole}", None)
    first, before = fingerprint(model), build(model).encode_text(TEXTS)
    (tower / "config.json").write_bytes(roberta_config(heads=4))
    assert fingerprint(model) != first
    assert not torch.allclose(build(model).encode_text(TEXTS), before)


def test_a_tag_is_found_before_a_folder_of_its_name(
    words: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = fingerprint(spec("tiny-words"))
    (tmp_path / "tiny").mkdir()
    assert fingerprint(spec("tiny-words")) == first
    assert hub_files(spec("tiny-words"))


def test_all_repositories_that_built_in_configurations_name() -> None:
    configs = {name: builtin_config(name) for name in open_clip.list_models()}
    named = {name: companions_of(config) for name, config in configs.items()}
    others = {name for name, parts in named.items() if parts}
    assert len(others) >= 49
    assert others == {
        name for name, config in configs.items()
        if {"hf_tokenizer_name", "hf_model_name"} & set(config["text_cfg"])
    }  # fmt: skip
    repositories = {part.repository for parts in named.values() for part in parts.values()}
    assert {"roberta-base", "timm/ViT-B-16-SigLIP"} < repositories
    for repository in repositories:
        HubFile(repository, "config.json", kind="model")  # a name that the hub accepts
