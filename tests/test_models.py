"""Loaders, on small files in the published formats."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.compat import ensure_torchvision
from bench.errors import CellError
from bench.lock import fingerprint
from bench.models import ClipModel, build_model
from bench.specs import Anchor as AnchorSpec
from bench.specs import GraftModel, ModelSpec, NanoModel, OpenClipModel, PythonModel, RAdaptModel
from bench.text import ZeroShotClassifier, zero_shot_head
from bench.types import ImageTextModel

ensure_torchvision()
import open_clip  # noqa: E402

CPU = torch.device("cpu")
CLIP = NanoModel(kind="nano", weights="clip")


def build(name: str, specs: dict[str, ModelSpec], trust: bool = False) -> ImageTextModel:
    return build_model(specs[name], CPU, lambda other: build(other, specs, trust), trust=trust)


@pytest.fixture(scope="module")
def small_architecture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Register a small CLIP with open_clip, as a real name would be."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "patch_size": 8,
            "width": 32,
            "head_width": 16,
            "layers": 2,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    path = tmp_path_factory.mktemp("config") / "tiny-test.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    return "tiny-test"


@pytest.fixture(scope="module")
def full(small_architecture: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A full checkpoint of the small CLIP."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "clip.pt"
    torch.save(open_clip.create_model(small_architecture).state_dict(), path)
    return str(path)


def tower_state(name: str) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return open_clip.create_model(name).visual.state_dict()


def robustvlm(state: dict[str, Tensor]) -> Any:
    return state


def tecoa(state: dict[str, Tensor]) -> Any:
    return {"vision_encoder_state_dict": state, "epoch": 2, "best_acc1": 0.4}


def parallel(state: dict[str, Tensor]) -> Any:
    return {"state_dict": {f"module.{key}": value for key, value in state.items()}}


@pytest.mark.parametrize("layout", [robustvlm, tecoa, parallel])
def test_tower_checkpoints(
    small_architecture: str, full: str, tmp_path: Path, layout: Callable[[dict[str, Tensor]], Any]
) -> None:
    state = tower_state(small_architecture)
    torch.save(layout(state), tmp_path / "tower.pt")
    spec = OpenClipModel(
        kind="open_clip",
        name=small_architecture,
        pretrained=full,
        tower=str(tmp_path / "tower.pt"),
    )
    model = build("M", {"M": spec})
    assert isinstance(model, ClipModel)
    loaded = model.tower.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert not any(parameter.requires_grad for parameter in model.tower.parameters())


def test_full_checkpoint_and_open_clip_agree(small_architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    clip = open_clip.create_model(small_architecture)
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    spec = OpenClipModel(
        kind="open_clip", name=small_architecture, pretrained=str(tmp_path / "clip.pt")
    )
    model = build("M", {"M": spec})
    images = torch.rand(3, 3, 32, 32)
    mean, std = (
        torch.tensor(v)[:, None, None]
        for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    expected = clip.eval().encode_image((images - mean) / std)
    assert torch.allclose(model.encode_image(images), expected, atol=1e-6)
    tokens = open_clip.get_tokenizer(small_architecture)(["a dog"])
    assert torch.allclose(model.encode_text(["a dog"]), clip.encode_text(tokens), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.weight": torch.zeros(4, 3, 8, 8)}, "another architecture"),
        (b"not a checkpoint", "not a checkpoint of weights alone"),
        (SimpleNamespace(code="arbitrary"), "not a checkpoint of weights alone"),
        (None, "no such checkpoint"),
    ],
)
def test_bad_checkpoints_are_told(
    small_architecture: str, full: str, tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "tower.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    spec = OpenClipModel(
        kind="open_clip", name=small_architecture, pretrained=full, tower=str(path)
    )
    with pytest.raises(CellError, match=message):
        build("M", {"M": spec})


def test_unknown_names_and_tags() -> None:
    with pytest.raises(CellError, match="open_clip cannot load 'ViT-Q'"):
        build("M", {"M": OpenClipModel(kind="open_clip", name="ViT-Q", pretrained="x")})
    spec = OpenClipModel(kind="open_clip", name="ViT-B-32", pretrained="made-up")
    with pytest.raises(CellError, match="no pretrained tag 'made-up'; known: openai"):
        fingerprint(spec)


def test_a_hub_models_config_is_part_of_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def local(repository: str, filename: str | None = None) -> str:
        return str(tmp_path / (filename or "weights"))

    monkeypatch.setattr("open_clip.pretrained.download_pretrained_from_hf", local)
    spec = OpenClipModel(kind="open_clip", name="hf-hub:someone/clip")
    (tmp_path / "weights").write_bytes(b"w")
    found = set()
    for config in ("{}", '{"preprocess_cfg": {}}'):
        (tmp_path / "open_clip_config.json").write_text(config)
        found |= {fingerprint(spec), fingerprint(spec)}
    assert len(found) == 2


def test_images_of_another_size_are_resized_inside() -> None:
    model = build("CLIP", {"CLIP": CLIP})
    images = torch.rand(2, 3, 48, 48, requires_grad=True)
    resized = F.interpolate(images, (32, 32), mode="bicubic", antialias=True).clamp(0, 1)
    embedding = model.encode_image(images)
    assert torch.allclose(embedding, model.encode_image(resized), atol=1e-6)
    embedding.sum().backward()
    assert images.grad is not None


def radapt(**changes: Any) -> dict[str, ModelSpec]:
    settings = {"alpha": 0.0, "cutoff": None, "anchor": AnchorSpec(white="CLIP"), **changes}
    return {"CLIP": CLIP, "R": RAdaptModel(kind="radapt", base="CLIP", **settings)}


def test_radapt_of_nothing_is_the_base() -> None:
    images = torch.rand(2, 3, 32, 32)
    base = build("CLIP", {"CLIP": CLIP}).encode_image(images)
    assert torch.equal(build("R", radapt()).encode_image(images), base)
    changed = build("R", radapt(alpha=0.5)).encode_image(images)
    assert not torch.allclose(changed, base, atol=1e-3)


def test_missing_anchor_is_told(tmp_path: Path) -> None:
    specs = radapt(anchor=AnchorSpec(file=str(tmp_path / "none.safetensors")))
    with pytest.raises(CellError, match="R-Adapt over 'CLIP'"):
        build("R", specs)


def graft(**changes: Any) -> dict[str, ModelSpec]:
    settings = {"base": "CLIP", "donor": "FARE", "modules": "Emb", **changes}
    fare = NanoModel(kind="nano", weights="fare")
    return {"CLIP": CLIP, "FARE": fare, "G": GraftModel(kind="graft", **settings)}


def test_a_graft_goes_from_its_base_to_its_donor() -> None:
    images = torch.rand(2, 3, 32, 32)
    base, donor = (build(name, graft()).encode_image(images) for name in ("CLIP", "FARE"))
    part = build("G", graft()).encode_image(images)
    assert not torch.allclose(part, base, atol=1e-3)
    assert not torch.allclose(part, donor, atol=1e-3)
    whole = build("G", graft(modules=["..B3", "B4.."]))
    assert torch.equal(whole.encode_image(images), donor)
    texts = build("CLIP", graft()).encode_text(["a dog"])
    assert torch.equal(whole.encode_text(["a dog"]), texts)


def test_a_graft_that_cannot_be_made_is_told() -> None:
    with pytest.raises(CellError, match="a graft of 'FARE' on 'CLIP': modules: got 'B9'"):
        build("G", graft(modules="B9"))
    own = PythonModel(kind="python", target="tests.test_models:Own", args={"width": 4})
    with pytest.raises(CellError, match="'FARE' is another kind"):
        build("G", {**graft(), "FARE": own}, trust=True)


class Own:
    """What a user's factory may return."""

    logit_scale = 10.0

    def __init__(self, device: torch.device, width: int) -> None:
        self.weight = torch.ones(3, width)

    def encode_image(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) @ self.weight

    def encode_text(self, texts: list[str]) -> Tensor:
        return torch.ones(len(texts), self.weight.shape[1])


def test_a_model_of_the_users_own() -> None:
    spec = PythonModel(kind="python", target="tests.test_models:Own", args={"width": 4})
    with pytest.raises(CellError, match="--trust"):
        build("M", {"M": spec})
    model = build("M", {"M": spec}, trust=True)
    head = zero_shot_head(model, ["a", "b"], ["{c}"])
    assert ZeroShotClassifier(model, head)(torch.rand(5, 3, 8, 8)).shape == (5, 2)
    lost = PythonModel(kind="python", target="tests.test_models:Nowhere")
    with pytest.raises(CellError, match="Nowhere"):
        build("M", {"M": lost}, trust=True)


def test_class_vectors_are_the_normalised_mean_of_normalised_prompts() -> None:
    class Fake(Own):
        def encode_text(self, texts: list[str]) -> Tensor:
            known = {"a cat": [3.0, 0.0], "the cat": [0.0, 1.0], "a dog": [2.0, 0.0]}
            return torch.tensor([known.get(text, [1.0, 0.0]) for text in texts])

    head = zero_shot_head(Fake(CPU, 2), ["cat", "dog"], ["a {c}", "the {c}"])
    half = 0.5**0.5  # (1,0) and (0,1) count alike, however long the embeddings were
    assert torch.allclose(head, torch.tensor([[half, 1.0], [half, 0.0]]))


def test_any_class_name_can_be_encoded() -> None:
    model = build("CLIP", {"CLIP": CLIP})
    texts = model.encode_text(["a photo of a quokka", "ein Foto von 世界", "x" * 500, ""])
    assert texts.shape == (4, 128)
    assert bool(torch.isfinite(texts).all())
