"""After `fetch` says that all is here, a run works without the hub, for every kind of model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from bench.commands.downloads import FetchWatcher, fetch
from bench.commands.machine import examine
from bench.models import ClipModel, build_model
from bench.run.suite_run import run_suite
from bench.suite.load import load_suite
from bench.suite.specs import HuggingFaceModel
from radapt import extract_anchor
from tests.support.hub_server import COMMIT, Hub
from tests.support.published_models import (
    TEXT,
    plain_open_clip,
    register,
    roberta_config,
    timm_config,
    tokenizer_files,
    weights_of,
    with_text_tower,
    written,
)
from tests.support.small_hugging_face import small_clip, small_siglip
from tests.support.small_language import small_llava, small_onevision
from tests.support.small_qwen import small_qwen
from tests.tasks.test_judges import small_model

Maker = Callable[..., Path]
WEIGHTS = "open_clip_pytorch_model.bin"
PROTOCOL = {"preset": "radapt-paper", "pixels": {"size": 32, "fit": "squash"}}


def tag(name: str, **keys: Any) -> dict[str, Any]:
    return {"kind": "open_clip", "name": name, "pretrained": "tiny", **keys}


def fetched_then_run(path: Path, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch, then examine and run without the hub; assert that nothing is asked of it."""
    suite = load_suite(path)
    assert fetch(suite, FetchWatcher())[1] == {}
    hub.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert [each.what for each in examine(suite, folder) if each.level == "bad"] == []
    report = run_suite(path, results=folder / "results")
    assert (report.failed, report.cells > 0) == (0, True)
    assert hub.log == []


@pytest.fixture
def published(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Publish a model of every kind that embeds images and texts; return their entries."""
    places = tmp_path / "published"
    places.mkdir()
    words = {**TEXT, "hf_tokenizer_name": "org/words"}
    config = register(monkeypatch, "tiny-words", "org/tiny-words", words)
    hub.repos["org/tiny-words"] = {WEIGHTS: weights_of(config)}
    hub.repos["org/words"] = tokenizer_files()

    named = {"hf_model_name": "tiny-roberta", "hf_tokenizer_name": "tiny-roberta"}
    (places / "roberta").mkdir()
    (places / "roberta" / "config.json").write_bytes(roberta_config())
    config = register(
        monkeypatch, "tiny-text-tower", "org/text", {**named, "hf_proj_type": "linear"}
    )
    weights = weights_of(config, hf_model_name=str(places / "roberta"))
    hub.repos["org/text"] = {WEIGHTS: weights}
    hub.repos["tiny-roberta"] = {"config.json": roberta_config(), **tokenizer_files()}

    hub.repos["org/whole"] = plain_open_clip()
    (places / "towers").mkdir()
    hub.repos["org/towers"] = with_text_tower(places / "towers", "tiny-roberta", "org/images")
    hub.repos["org/images"] = {"config.json": timm_config()}
    hub.repos["org/clip"] = written(small_clip, places / "clip")
    hub.repos["org/siglip"] = written(small_siglip, places / "siglip")
    (places / "file.pt").write_bytes(hub.repos["org/tiny-words"][WEIGHTS])
    hub.repos["org/file"] = {"folder/tower.pt": hub.repos["org/whole"][WEIGHTS]}
    processor = dict(hub.repos["org/clip"])
    weights = {name: processor.pop(name) for name in ("model.safetensors", "config.json")}
    hub.repos |= {"org/weights": weights, "org/processor": processor}
    return {
        "tokenizer of another repository": tag("tiny-words"),
        "file with that tokenizer": tag("tiny-words", pretrained=str(places / "file.pt")),
        "text tower of another repository": tag("tiny-text-tower"),
        "repository": {"kind": "open_clip", "name": "hf-hub:org/whole"},
        "repository with towers of others": {"kind": "open_clip", "name": "hf-hub:org/towers"},
        "tower in a repository": {
            "kind": "open_clip", "name": "hf-hub:org/whole",
            "tower": "hf-hub:org/file/folder/tower.pt",
        },
        "processor in a repository": {
            "kind": "hugging_face", "name": "org/weights", "processor": "org/processor",
        },
        "clip": {"kind": "hugging_face", "name": "org/clip"},
        "siglip": {"kind": "hugging_face", "name": "org/siglip"},
    }  # fmt: skip


def test_models_that_embed(
    hub: Hub,
    suite_file: Maker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    published: dict[str, Any],
) -> None:
    adapted = {"kind": "radapt", "base": "clip", "alpha": 1, "cutoff": 10}
    local = HuggingFaceModel(kind="hugging_face", name=str(tmp_path / "published" / "clip"))
    donor = build_model(local, torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(donor, ClipModel)
    extract_anchor(donor.tower).save(tmp_path / "anchor.safetensors")
    models = {
        **published,
        "white anchor": {**adapted, "anchor": {"white": "clip"}},
        "anchor in a file": {**adapted, "anchor": {"file": str(tmp_path / "anchor.safetensors")}},
    }
    path = suite_file(
        models=models, datasets=["digits"], samples=4, protocol=PROTOCOL, attacks=None,
        threats=None,
    )  # fmt: skip
    fetched_then_run(path, hub, tmp_path, monkeypatch)


def test_models_that_answer_and_a_judge(
    hub: Hub, suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families: dict[str, Any] = {
        "llava": small_llava,
        "onevision": small_onevision,
        "qwen2.5": partial(small_qwen, "qwen2_5_vl"),
    }
    for name, make in families.items():
        hub.repos[f"org/{name}"] = written(make, tmp_path / name)
    hub.repos["org/judge"] = written(small_model, tmp_path / "judge")
    judge = {"kind": "transformers", "name": "org/judge", "revision": COMMIT}
    what = {"kind": "language", "format": "embedded", "name": "set", "of": "digits", "ask": "what"}
    path = suite_file(
        models={
            name: {"kind": "lvlm", "name": f"org/{name}", "precision": "fp32"} for name in families
        },
        datasets=[what], samples=1, protocol={"preset": "lvlm", "judge": judge}, attacks=None,
        threats=None,
    )  # fmt: skip
    fetched_then_run(path, hub, tmp_path, monkeypatch)
