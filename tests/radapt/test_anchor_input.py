"""Images, models and anchors that are refused, since each would give a wrong result silently."""

from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.core.torchvision_shim import ensure_torchvision
from bench.nano.nano_clip import build_clip
from radapt import adapt, extract_anchor, fit_anchor, resize_anchor

ensure_torchvision()  # which open_clip and transformers import

import open_clip  # noqa: E402
import transformers  # noqa: E402


@pytest.fixture(scope="module")
def tower() -> nn.Module:
    visual: nn.Module = build_clip().visual
    return visual.eval()


WHITE = torch.ones(1, 3, 32, 32)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (255 * WHITE, "got values from 255 to 255; allowed: pixels from 0 to 1"),
        (WHITE - 1.5, "got values from -0.5 to -0.5"),
        (WHITE * torch.nan, "got values from nan to nan"),
        (WHITE.expand(2, -1, -1, -1), "got the shape (2, 3, 32, 32); allowed: one RGB image"),
        (WHITE[0], "got the shape (3, 32, 32)"),
        (WHITE[:, :1], "got the shape (1, 1, 32, 32)"),
        (WHITE[:, :, :0], "got the shape (1, 3, 0, 32)"),
    ],
)
def test_of_another_range_or_shape(tower: nn.Module, image: Tensor, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^image: got ") as caught:
        extract_anchor(tower, image)
    assert expected in str(caught.value)


@pytest.mark.parametrize("image", [WHITE.byte(), WHITE.long(), WHITE.bool(), np.ones((1, 3, 8, 8))])
def test_of_another_type(tower: nn.Module, image: Tensor) -> None:
    with pytest.raises(TypeError, match=r"^image: got .*; allowed: a tensor of floats in"):
        extract_anchor(tower, image)


def test_half_precision_is_read(tower: nn.Module) -> None:
    given = extract_anchor(tower, WHITE.half())
    assert torch.equal(given.value, extract_anchor(tower).value)


_SIDE = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_attention_heads": 2}
_SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}


def whole_model(name: str) -> nn.Module:
    """Return a small whole CLIP of open_clip or transformers."""
    parts = {"vision_config": {**_SMALL, **_SIDE}, "text_config": _SMALL}
    match name:
        case "clip":
            return transformers.CLIPModel(transformers.CLIPConfig(**parts))
        case "siglip":
            return transformers.SiglipModel(transformers.SiglipConfig(**parts))
        case "custom":
            sizes = {"width": 32, "heads": 2, "layers": 1}
            vision = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1}
            return open_clip.CustomTextCLIP(32, vision, sizes)
    return build_clip()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("open_clip", "visual"), ("custom", "visual")),
        *(("clip", "vision_model"), ("siglip", "vision_model")),
    ],
)
def test_of_a_whole_model_the_vision_tower_is_named(name: str, part: str, tower: nn.Module) -> None:
    whole = whole_model(name)
    expected = rf"is a whole model; pass its vision tower: model\.{part}$"
    with pytest.raises(TypeError, match=expected):
        extract_anchor(whole)
    with pytest.raises(TypeError, match=expected):
        adapt(whole, extract_anchor(tower), alpha=1, cutoff=None)
    named: nn.Module = reduce(getattr, part.split("."), whole)
    adapt(named, extract_anchor(named), alpha=1, cutoff=None)


def test_an_anchor_is_read_from_its_file(tower: nn.Module, tmp_path: Path) -> None:
    anchor = extract_anchor(tower, WHITE / 2)
    anchor.save(tmp_path / "a")
    expected = adapt(tower, anchor, alpha=1, cutoff=None)(WHITE)
    for file in (tmp_path / "a", str(tmp_path / "a")):
        assert torch.equal(adapt(tower, file, alpha=1, cutoff=None)(WHITE), expected)
    assert torch.equal(resize_anchor(tmp_path / "a", tower).value, anchor.value)
    with pytest.raises(FileNotFoundError, match="gone"):
        adapt(tower, tmp_path / "gone", alpha=1, cutoff=None)
    (tmp_path / "b").write_bytes(b"no anchor")
    with pytest.raises(ValueError, match="b: not an anchor"):
        adapt(tower, tmp_path / "b", alpha=1, cutoff=None)


def test_a_tensor_is_no_anchor(tower: nn.Module) -> None:
    value, expected = extract_anchor(tower).value, "anchor: got a tensor; allowed: an Anchor"
    with pytest.raises(TypeError, match=expected):
        adapt(tower, value, alpha=1, cutoff=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=expected):
        fit_anchor(tower, WHITE, start=value, alpha=1, cutoff=None)  # type: ignore[arg-type]
