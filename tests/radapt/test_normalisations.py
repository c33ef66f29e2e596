"""Mean and standard deviation of a tower come from its processor."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants

from radapt import extract_anchor
from radapt.normalisations import CLIP_MEAN, CLIP_STD, of_model_type
from radapt.tower import normalisation
from tests.support.tower_families import build_family
from tests.support.towers import build, hugging_face

HALVES = (0.5, 0.5, 0.5)
MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.6, 0.7)

from transformers.models.auto.image_processing_auto import (  # isort: skip  # noqa: E402
    IMAGE_PROCESSOR_MAPPING_NAMES,
)

KINDS = {
    "clip": (CLIP_MEAN, CLIP_STD),
    "siglip2-naflex": (HALVES, HALVES),
    "idefics3": (HALVES, HALVES),
    "smolvlm": (HALVES, HALVES),
    "phi4": (HALVES, HALVES),
    "clipseg": (HALVES, HALVES),
    "pixtral": (CLIP_MEAN, CLIP_STD),
    "instructblip": (CLIP_MEAN, CLIP_STD),
    "qwen2-vl": (CLIP_MEAN, CLIP_STD),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_tower_without_a_file_has_the_values_of_its_kind(name: str) -> None:
    tower = build("hf-clip") if name == "clip" else build_family(name)
    assert normalisation(tower) == KINDS[name]


@pytest.mark.parametrize("name", ["mllama", "intern-vit", "dinov2", "dinov3"])
def test_a_tower_whose_processor_is_not_known_asks_for_its_values(name: str) -> None:
    tower = build_family(name)
    with pytest.raises(ValueError, match="give them as `mean` and `std`"):
        extract_anchor(tower)
    assert normalisation(tower, MEAN, STD) == (MEAN, STD)


@pytest.mark.parametrize(
    "kind",
    [
        *("clip", "metaclip_2", "blip-2", "instructblip", "pixtral", "qwen2_vl", "qwen2_5_vl"),
        *("siglip", "siglip2", "clipseg", "idefics3", "smolvlm", "phi4_multimodal"),
    ],
)
def test_the_values_of_a_kind_are_those_of_transformers_processor(kind: str) -> None:
    name = IMAGE_PROCESSOR_MAPPING_NAMES[kind]["torchvision"]
    processor = getattr(transformers, name)
    expected = (tuple(processor.image_mean), tuple(processor.image_std))
    assert of_model_type(kind.replace("-", "_") + "_vision_model") == expected


def write(folder: Path, settings: dict[str, Any], *, nested: bool) -> None:
    """Write a processor's settings as transformers did, or as it does today."""
    name = "processor_config.json" if nested else "preprocessor_config.json"
    content = {"image_processor": settings} if nested else settings
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    hugging_face("CLIPVisionModel", "CLIPVisionConfig").save_pretrained(folder)  # type: ignore[operator]
    return folder


@pytest.mark.parametrize("nested", [False, True])
def test_the_processors_file_beside_the_weights_comes_first(saved: Path, nested: bool) -> None:
    write(saved, {"image_mean": MEAN, "image_std": STD}, nested=nested)
    tower = transformers.CLIPVisionModel.from_pretrained(saved)
    assert normalisation(tower) == (MEAN, STD)
    assert normalisation(tower, mean=HALVES) == (HALVES, STD)
    expected = extract_anchor(tower, mean=MEAN, std=STD).value
    assert torch.equal(extract_anchor(tower).value, expected)


def test_a_folder_that_has_been_removed_is_as_none(saved: Path) -> None:
    write(saved, {"image_mean": MEAN, "image_std": STD}, nested=False)
    tower = transformers.CLIPVisionModel.from_pretrained(saved)
    shutil.rmtree(saved)
    assert normalisation(tower) == (CLIP_MEAN, CLIP_STD)


def test_a_processor_without_values_or_a_damaged_one(saved: Path) -> None:
    write(saved, {"size": 32}, nested=False)
    tower = transformers.CLIPVisionModel.from_pretrained(saved)
    assert normalisation(tower) == (CLIP_MEAN, CLIP_STD)
    write(saved, {"do_normalize": False, "image_mean": MEAN, "image_std": STD}, nested=False)
    assert normalisation(tower) == ((0.0,) * 3, (1.0,) * 3)
    settings = "not the settings of an image processor"
    for text, fault in (
        *(("[1, 2]", settings), ('{"image_mean": 3, "image_std": 4}', settings)),
        ("{", "not valid JSON"),
    ):
        (saved / "preprocessor_config.json").write_text(text)
        with pytest.raises(ValueError, match=f"preprocessor_config.json: {fault}"):
            normalisation(tower)


def test_a_repositorys_file_is_found_in_the_cache(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the snapshot of the commit that the weights are from."""
    write(saved, {"image_mean": MEAN, "image_std": STD}, nested=True)
    commit = "0123456789" * 4
    repository = tmp_path / "hub" / "models--somebody--clip"
    shutil.copytree(saved, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    tower = transformers.CLIPVisionModel.from_pretrained(
        "somebody/clip", cache_dir=tmp_path / "hub", local_files_only=True
    )
    assert normalisation(tower) == (MEAN, STD)
