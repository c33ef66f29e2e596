"""Loaders, on small files in the published formats."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.core.types import ImageTextModel
from bench.models import build_model
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.specs import Anchor as AnchorSpec
from bench.suite.specs import GraftModel, ModelSpec, NanoModel, PythonModel, RAdaptModel

ensure_torchvision()

CPU = torch.device("cpu")
CLIP = NanoModel(kind="nano", weights="clip")


def build(name: str, specs: dict[str, ModelSpec], trust: bool = False) -> ImageTextModel:
    return build_model(specs[name], CPU, lambda other: build(other, specs, trust), trust=trust)


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
    own = PythonModel(kind="python", target="tests.models.test_models:Own", args={"width": 4})
    with pytest.raises(CellError, match="'FARE' has no vision tower"):
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
    spec = PythonModel(kind="python", target="tests.models.test_models:Own", args={"width": 4})
    with pytest.raises(CellError, match="--trust"):
        build("M", {"M": spec})
    model = build("M", {"M": spec}, trust=True)
    head = zero_shot_head(model, ["a", "b"], ["{c}"])
    assert ZeroShotClassifier(model, head)(torch.rand(5, 3, 8, 8)).shape == (5, 2)
    lost = PythonModel(kind="python", target="tests.models.test_models:Nowhere")
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
