"""CLIP and SigLIP of transformers, from a folder and from the hub's cache."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from bench.core.errors import CellError
from bench.hub.weights import hub_files, origin, weight_files
from bench.models import ClipModel, build_model
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.plan.resolve import fingerprint
from bench.suite.specs import Anchor, HuggingFaceModel, ModelSpec, RAdaptModel
from tests.support.hub_cache import FIRST, SECOND, folder_files, offline, put
from tests.support.small_hugging_face import small_clip, small_siglip

CPU = torch.device("cpu")
MAKERS: dict[str, Callable[[Path], Any]] = {"clip": small_clip, "siglip": small_siglip}


def build(spec: ModelSpec, **others: ModelSpec) -> ClipModel:
    model = build_model(spec, CPU, lambda name: build(others[name], **others))
    assert isinstance(model, ClipModel)
    return model


def at(place: object, revision: str | None = None) -> HuggingFaceModel:
    return HuggingFaceModel(kind="hugging_face", name=str(place), revision=revision)


@pytest.fixture(params=list(MAKERS))
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any]:
    return tmp_path, MAKERS[request.param](tmp_path)


def test_embeddings_are_those_of_transformers(saved: tuple[Path, Any]) -> None:
    folder, model = saved
    built = build(at(folder))
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels = processor(list(images), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = model.get_image_features(pixels).pooler_output
        found = built.encode_image(images.float() / 255)
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.shape[1] == built.encode_text(["a dog"]).shape[1]


def test_predictions_are_those_of_transformers(saved: tuple[Path, Any]) -> None:
    """SigLIP's logit bias is left out: it is the same number on all classes."""
    folder, model = saved
    built = build(at(folder))
    classes = ["dog", "cat", "zebu", "quokka"]
    head = zero_shot_head(built, classes, ["a Photo of a {c}"])
    images = torch.rand(16, 3, 32, 32)
    how = built.preprocessing
    mean, std = (torch.tensor(values)[:, None, None] for values in (how.mean, how.std))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    length = model.config.text_config.max_position_embeddings
    tokens = tokenizer(
        [f"a photo of a {name}" for name in classes],
        padding="max_length", max_length=length, return_tensors="pt",
    )  # fmt: skip
    with torch.no_grad():
        theirs = model(input_ids=tokens["input_ids"], pixel_values=(images - mean) / std)
        ours = ZeroShotClassifier(built, head)(images)
    bias = getattr(model, "logit_bias", torch.zeros(1))
    assert torch.allclose(ours + bias, theirs.logits_per_image, atol=1e-4)
    assert torch.equal(ours.argmax(dim=1), theirs.logits_per_image.argmax(dim=1))


def test_its_own_normalisation(saved: tuple[Path, Any]) -> None:
    folder, model = saved
    siglip = model.config.model_type == "siglip"
    mean = build(at(folder)).preprocessing.mean
    assert mean == ((0.5, 0.5, 0.5) if siglip else (0.48145466, 0.4578275, 0.40821073))
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_mean": [0.1, 0.2, 0.3]}))
    assert build(at(folder)).preprocessing.mean == (0.1, 0.2, 0.3)
    path.write_text("{}")
    with pytest.raises(
        CellError, match="`image_mean` and `image_std` must be lists of three numbers"
    ):
        build(at(folder))


def test_the_activation_is_that_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_clip(tmp_path)
    capsys.readouterr()
    assert build(at(tmp_path)).facts()["activation"] == "quick_gelu"
    assert capsys.readouterr().err == ""  # no bars
    path = tmp_path / "config.json"
    before = fingerprint(at(tmp_path))
    path.write_text(path.read_text().replace("quick_gelu", "gelu"))
    assert build(at(tmp_path)).facts()["activation"] == "gelu"
    assert fingerprint(at(tmp_path)) != before


def test_radapt_over_it(saved: tuple[Path, Any]) -> None:
    folder, _ = saved
    base = at(folder)

    def adapted(**changes: Any) -> ClipModel:
        given = {"alpha": 0.0, "cutoff": None, "anchor": Anchor(white="B"), **changes}
        return build(RAdaptModel(kind="radapt", base="B", **given), B=base)

    images = torch.rand(2, 3, 32, 32)
    expected = build(base).encode_image(images)
    assert torch.equal(adapted().encode_image(images), expected)
    assert not torch.allclose(adapted(alpha=0.8).encode_image(images), expected, atol=1e-4)
    # the filter works in [0,1], whatever the model's normalisation is: white stays white
    white = torch.ones(1, 3, 32, 32)
    filtered = adapted(cutoff=20).encode_image(white)
    assert torch.allclose(filtered, build(base).encode_image(white), atol=1e-5)
    assert not torch.allclose(adapted(cutoff=20).encode_image(images), expected, atol=1e-4)


def test_a_repository_of_the_hub(
    saved: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder, _ = saved
    cache = tmp_path_factory.mktemp("hub")
    offline(monkeypatch, cache)
    put(cache, "org/model", folder_files(folder), FIRST, refs=("v1",))
    with pytest.raises(CellError, match="is not in the cache"):
        build(at("org/model"))
    spec = at("org/model", "v1")
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(build(spec).encode_image(images), build(at(folder)).encode_image(images))
    assert fingerprint(spec) == fingerprint(at(folder))
    assert origin(spec) == f"org/model@{FIRST}"
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(
        CellError, match=r"preprocessor_config\.json or processor_config\.json is missing"
    ):
        build(at(folder))
    half = {name: data for name, data in folder_files(folder).items() if "tokenizer" not in name}
    put(cache, "org/model", half, SECOND)
    with pytest.raises(CellError, match="not in the cache"):
        weight_files(at("org/model"))


def test_a_processor_of_another_repository(
    saved: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for LEAF's models, whose repositories have only weights and a configuration."""
    offline(monkeypatch, tmp_path / "hub")
    whole = at(saved[0])
    files = folder_files(saved[0])
    weights = {name: files.pop(name) for name in ("model.safetensors", "config.json")}
    put(tmp_path / "hub", "some/weights", weights)
    put(tmp_path / "hub", "some/processor", files)
    spec = HuggingFaceModel(kind="hugging_face", name="some/weights", processor="some/processor")
    images, texts = torch.rand(2, 3, 32, 32), ["a dog", "a cat"]
    split, joined = build(spec), build(whole)
    assert torch.equal(split.encode_image(images), joined.encode_image(images))
    assert torch.equal(split.encode_text(texts), joined.encode_text(texts))
    assert split.preprocessing == joined.preprocessing
    # the processor's content is part of the identity
    before = fingerprint(spec)
    images_of = {**json.loads(files["preprocessor_config.json"]), "image_mean": [0.1, 0.2, 0.3]}
    newer = {"processor_config.json": json.dumps({"image_processor": images_of}).encode()}
    put(tmp_path / "hub", "some/processor", {**files, **newer})
    assert fingerprint(spec) != before
    assert build(spec).preprocessing.mean == (0.1, 0.2, 0.3)
    with pytest.raises(CellError, match="some/weights: "):
        build(at("some/weights"))


def test_halves_become_single_precision(tmp_path: Path) -> None:
    small_clip(tmp_path).half().save_pretrained(tmp_path)
    built = build(at(tmp_path))
    assert {parameter.dtype for parameter in built.tower.parameters()} == {torch.float32}


def test_weights_that_lack_tensors_are_refused(tmp_path: Path) -> None:
    """transformers only warns, and goes on with random ones."""
    small_clip(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        CellError,
        match=r"1 tensors of the checkpoint are missing .*the first is visual_projection\.weight",
    ):
        build(at(tmp_path))


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    """transformers only says that there are some."""
    small_clip(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"]["intermediate_size"] = 48
    path.write_text(json.dumps(config))
    with pytest.raises(
        CellError,
        match=r"6 tensors .* the first is vision_model\.encoder\.layers\.0\.mlp\.fc1\.bias",
    ):
        build(at(tmp_path))


def in_parts(folder: Path) -> Any:
    """Write a CLIP with its weights in several files, and return its model."""
    model = small_clip(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    assert len(list(folder.glob("model-0000*.safetensors"))) > 1
    return model


def test_weights_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, parts, cache = (tmp_path / name for name in ("one", "parts", "cache"))
    small_clip(one)
    in_parts(parts)
    images = torch.rand(1, 3, 32, 32)
    expected = build(at(one)).encode_image(images)
    assert torch.allclose(build(at(parts)).encode_image(images), expected, atol=1e-6)
    before = fingerprint(at(parts))
    offline(monkeypatch, cache)
    put(cache, "org/parts", folder_files(parts))
    assert fingerprint(at("org/parts")) == before
    assert torch.allclose(build(at("org/parts")).encode_image(images), expected, atol=1e-6)
    last = max(parts.glob("model-0000*.safetensors"))
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    assert fingerprint(at(parts)) != before
    last.unlink()
    with pytest.raises(CellError, match=rf"{last.name} is missing"):
        build(at(parts))


def test_a_vocabulary_whose_class_is_not_named_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = tmp_path / "clip", tmp_path / "cache"
    small_clip(folder)
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text())
    assert said.pop("tokenizer_class")
    path.write_text(json.dumps(said))
    offline(monkeypatch, cache)
    put(cache, "org/clip", folder_files(folder))
    assert fingerprint(at("org/clip")) == fingerprint(at(folder))
    named = [[file.path for file in needed] for needed in hub_files(at("org/clip"))]
    (vocabulary,) = (names for names in named if "tokenizer.json" in names)
    assert {"vocab.json", "spiece.model"} < set(vocabulary)
    words = folder / "tokenizer.json"
    before = fingerprint(at(folder))
    words.write_text(words.read_text() + " ")
    assert fingerprint(at(folder)) != before


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {"a": "../b"}}', '{"weight_map": [1]}'])
def test_an_index_that_names_no_parts_is_refused(tmp_path: Path, content: str) -> None:
    in_parts(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(
        CellError, match=r"index\.json: `weight_map` must name a file in the same folder"
    ):
        build(at(tmp_path))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    small_clip(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CellError, match="`model_type` is 'bert'; allowed: clip, siglip"):
        build(at(tmp_path))


@pytest.mark.parametrize("name", ["/nowhere/clip", "./clip", "clip"])
def test_a_folder_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(
        CellError, match="no such folder; allowed: a folder, or OWNER/NAME of the hub"
    ):
        build(at(name))


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="got revision 'v1', but a folder has no revisions"):
        build(at(tmp_path, "v1"))
