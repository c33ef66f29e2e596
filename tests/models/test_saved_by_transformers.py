"""Folders as transformers saves a CLIP, today and before: what it reads is what is built."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bench.core.errors import CellError
from bench.hub.weights import weight_files
from bench.models import ClipModel, build_model
from bench.plan.resolve import fingerprint
from bench.suite.specs import HuggingFaceModel, LvlmModel
from tests.support.hub_cache import folder_files, offline, put
from tests.support.small_hugging_face import small_clip

IMAGES = torch.randint(
    0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
TEXTS = ["a dog", "a cat"]


def with_its_processor(folder: Path) -> None:
    """Save model and processor: the image processor is inside `processor_config.json`."""
    load = (
        transformers.AutoImageProcessor.from_pretrained,
        transformers.AutoTokenizer.from_pretrained,
    )
    image, tokenizer = (each(folder) for each in load)
    image.image_mean = [0.1, 0.2, 0.3]
    (folder / "preprocessor_config.json").unlink()
    (folder / "tokenizer.json").unlink()
    transformers.CLIPProcessor(image, tokenizer).save_pretrained(folder)
    assert not (folder / "preprocessor_config.json").exists()


def with_a_newer_processor(folder: Path) -> None:
    """Leave the file of an older release beside that of today's."""
    before = (folder / "preprocessor_config.json").read_bytes()
    with_its_processor(folder)
    (folder / "preprocessor_config.json").write_bytes(before)


def with_a_vocabulary_and_merges(folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer.json").unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(small_clip(folder / "again").state_dict(), folder / "pytorch_model.bin")


def pickled_in_parts(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    state = small_clip(folder / "again").state_dict()
    parts = {name: f"pytorch_model-0000{1 + n % 2}-of-00002.bin" for n, name in enumerate(state)}
    for part in set(parts.values()):
        torch.save({name: state[name] for name in state if parts[name] == part}, folder / part)
    index = {"metadata": {}, "weight_map": parts}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


# each way, with a file that its numbers depend on
WAYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "model and processor": (with_its_processor, "processor_config.json"),
    "model and processor over an older one": (with_a_newer_processor, "processor_config.json"),
    "vocabulary and merges": (with_a_vocabulary_and_merges, "merges.txt"),
    "pickled": (pickled, "pytorch_model.bin"),
    "pickled in parts": (pickled_in_parts, "pytorch_model-00002-of-00002.bin"),
}


def spec(place: object) -> HuggingFaceModel:
    return HuggingFaceModel(kind="hugging_face", name=str(place))


def build(place: object) -> ClipModel:
    model = build_model(spec(place), torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(model, ClipModel)
    return model


def reference(folder: Path) -> tuple[Any, Any]:
    """Return the embeddings that transformers computes from the folder alone."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.CLIPProcessor(
        transformers.AutoImageProcessor.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(folder),
    )
    inputs = processor(
        images=list(IMAGES), text=TEXTS, padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        output = model(**inputs)
    return output.image_embeds, output.text_embeds


@pytest.mark.parametrize("way", WAYS)
def test_a_saved_clip_is_read_as_transformers_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    folder, cache = tmp_path / "clip", tmp_path / "cache"
    small_clip(folder)
    save, file = WAYS[way]
    save(folder)
    images, texts = reference(folder)
    offline(monkeypatch, cache)
    put(cache, "org/clip", folder_files(folder))
    for place in (folder, "org/clip"):
        built = build(place)
        found = torch.nn.functional.normalize(built.encode_image(IMAGES.float() / 255), dim=1)
        assert torch.allclose(found, images, atol=1e-5)
        found = torch.nn.functional.normalize(built.encode_text(TEXTS), dim=1)
        assert torch.allclose(found, texts, atol=1e-5)
    before = fingerprint(spec(folder))
    assert fingerprint(spec("org/clip")) == before
    (folder / file).write_bytes((folder / file).read_bytes() + b"\n")
    assert fingerprint(spec(folder)) != before


@pytest.mark.parametrize("missing", ["merges.txt", "pytorch_model-00001-of-00002.bin"])
def test_a_missing_part_is_named(tmp_path: Path, missing: str) -> None:
    small_clip(tmp_path)
    with_a_vocabulary_and_merges(tmp_path)
    pickled_in_parts(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(CellError, match=f"{missing} is missing"):
        weight_files(spec(tmp_path))


@pytest.mark.parametrize(
    ("setting", "value"), [("do_normalize", False), ("do_rescale", False), ("rescale_factor", 1.0)]
)
def test_a_processor_that_scales_in_another_way_is_refused(
    tmp_path: Path, setting: str, value: object
) -> None:
    small_clip(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), setting: value}))
    with pytest.raises(CellError, match=f"image processor: {setting}: got {value}; allowed: "):
        build(tmp_path)


@pytest.mark.parametrize("complete", [True, False])
def test_an_adapter_of_a_model_that_the_suite_does_not_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    """transformers with peft would load the base model, or add the adapter to this one."""
    folder, cache = tmp_path / "clip", tmp_path / "cache"
    small_clip(folder)
    if not complete:
        (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/other"}')
    offline(monkeypatch, cache)
    put(cache, "org/clip", folder_files(folder))
    for place in (folder, "org/clip"):
        with pytest.raises(CellError, match=r"an adapter of 'org/other', .* does not name"):
            weight_files(spec(place))


@pytest.mark.parametrize("kind", [[], {}, None, 3])
def test_a_model_type_that_is_no_text_is_refused(tmp_path: Path, kind: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    named = {"hugging_face": HuggingFaceModel, "lvlm": LvlmModel}
    for name, model in named.items():
        with pytest.raises(CellError, match="`model_type` is "):
            weight_files(model(kind=name, name=str(tmp_path)))
