"""Qwen2.5-VL and Qwen3-VL: what their processors make of images, and of texts about them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from bench.core.errors import CellError
from bench.models import LanguageModel, build_model
from bench.suite.specs import LvlmModel, ModelSpec
from radapt import GaussianFilter, extract_anchor
from tests.support.small_hugging_face import small_clip
from tests.support.small_qwen import KINDS, PATCH, small_qwen

# unchanged, in steps of either model's merged patches; up; down; neither a multiple
SIDES = ((112, 112), (96, 128), (64, 64), (20, 30), (40, 70), (90, 100), (300, 200), (131, 257))


@pytest.fixture(scope="module", params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    small_qwen(request.param, folder)
    return folder


@pytest.fixture(scope="module")
def model(saved: Path) -> LanguageModel:
    spec = LvlmModel(kind="lvlm", name=str(saved), precision="fp32")
    built = build_model(spec, torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(built, LanguageModel)
    return built


@pytest.fixture(scope="module")
def processor(saved: Path) -> Any:
    from transformers import AutoProcessor  # after torchvision

    return AutoProcessor.from_pretrained(saved)


def bits(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("sides", SIDES)
def test_patches_are_the_processors_to_the_last_bit(
    model: LanguageModel, processor: Any, sides: tuple[int, int]
) -> None:
    given = bits(2, *sides)
    theirs = processor.image_processor(images=list(given), return_tensors="pt")
    ours = model.pixels(given.float() / 255)
    assert ours.keys() == theirs.keys() == {"pixel_values", "image_grid_thw"}
    for name, value in theirs.items():
        assert torch.equal(ours[name], value)


def test_tokens_are_the_processors(model: LanguageModel, processor: Any) -> None:
    """As many of the image's as there are squares of patches, and told apart from the text's."""
    given = bits(1, 90, 130)
    question = [{"type": "image"}, {"type": "text", "text": "is the cat a dog?"}]
    messages = [{"role": "user", "content": question}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    theirs = processor(text=[text], images=list(given), return_tensors="pt")
    ours = model.chat.inputs("is the cat a dog?", (90, 130))
    assert ours.keys() | {"pixel_values", "image_grid_thw"} == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name][0])
    count = int(theirs["mm_token_type_ids"].sum())
    assert count == int(theirs["image_grid_thw"].prod()) // 4
    assert count == model.visual_tokens(given.float() / 255).shape[1]


def test_an_image_that_keeps_its_size_keeps_values_between_bits(model: LanguageModel) -> None:
    """No rounding comes between an attack's small steps and the model."""
    side = 6 * PATCH[model.network.config.model_type]
    given = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    how = model.preprocessing
    mean, std = (torch.tensor(values)[:, None, None] for values in (how.mean, how.std))
    found = model.pixels(given)["pixel_values"]
    flat = torch.sort(((given - mean) / std).repeat(2, 1, 1, 1).flatten()).values
    assert torch.allclose(torch.sort(found.flatten()).values, flat, atol=1e-5)


def made(saved: Path, name: str, **declared: dict[str, Any]) -> LanguageModel:
    """Build one of some models, over the one that is saved, called `Qwen`."""
    specs = {"Qwen": {"kind": "lvlm", "name": str(saved), "precision": "fp32"}, **declared}
    models = TypeAdapter(dict[str, ModelSpec]).validate_python(specs)

    def refer(wanted: str) -> Any:
        return build_model(models[wanted], torch.device("cpu"), refer)

    found = refer(name)
    assert isinstance(found, LanguageModel)
    return found


def over_qwen(**settings: Any) -> dict[str, Any]:
    return {"kind": "radapt", "base": "Qwen", "anchor": {"white": "Qwen"}, **settings}


ASKED, SAID = ["is the cat a dog?", "ab"], ["yes", "the cat is"]


def test_radapt_acts_on_the_tower_inside(saved: Path, model: LanguageModel) -> None:
    """The anchor is that of a white image of the images' own size, which the row says."""
    adapted = made(saved, "R", R=over_qwen(alpha=1.0, cutoff=None))
    kind = model.network.config.model_type
    expected = {
        "qwen2_5_vl": "uniform white image, one vector at every grid, on Qwen2_5",
        "qwen3_vl": "uniform white image, extracted at each grid, on Qwen3VL",
    }
    assert adapted.facts()["anchor"].startswith(expected[kind])
    assert "anchor" not in model.facts()
    for sides in ((112, 140), (130, 90)):
        white, image = torch.ones(1, 3, *sides), bits(1, *sides).float() / 255
        assert torch.allclose(
            adapted.visual_tokens(white), model.visual_tokens(white), rtol=1e-3, atol=1e-3
        )
        difference = (adapted.visual_tokens(image) - model.visual_tokens(image)).abs().max()
        assert difference > 0.02


def test_radapt_without_anchor_and_filter_changes_nothing(
    saved: Path, model: LanguageModel
) -> None:
    same = made(saved, "R", R=over_qwen(alpha=0.0, cutoff=None))
    given = bits(2, 90, 130).float() / 255
    assert torch.equal(
        same.log_likelihood(given, ASKED, SAID), model.log_likelihood(given, ASKED, SAID)
    )


def test_the_filter_acts_on_the_image_that_the_tower_sees(
    saved: Path, model: LanguageModel
) -> None:
    smooth = made(saved, "R", R=over_qwen(alpha=0.0, cutoff=20))
    side = 6 * PATCH[model.network.config.model_type]  # at which nothing is resized
    given = bits(2, side, side).float() / 255
    expected = model.log_likelihood(GaussianFilter(20)(given), ASKED, SAID)
    found = smooth.log_likelihood(given, ASKED, SAID)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, model.log_likelihood(given, ASKED, SAID), atol=1e-3)


def test_an_adapted_model_treats_images_as_one_by_one(saved: Path) -> None:
    adapted = made(saved, "R", R=over_qwen(alpha=0.8, cutoff=40))
    given = bits(2, 90, 130).float() / 255
    together = adapted.log_likelihood(given, ASKED, SAID)
    answers = adapted.answer(given, ASKED, tokens=5)
    for row in range(2):
        part = slice(row, row + 1)
        alone = adapted.log_likelihood(given[part], ASKED[part], SAID[part])
        assert torch.allclose(alone[0], together[row], atol=1e-4)
        assert adapted.answer(given[part], ASKED[part], tokens=5) == answers[part]


def test_gradients_pass_filter_and_anchor(saved: Path) -> None:
    """Along their sign, with checkpointing as without."""
    more = {"name": str(saved), "precision": "fp32", "kind": "lvlm", "checkpointing": True}
    declared = {"R": over_qwen(alpha=0.8, cutoff=40), "Qwen": more}
    plain, saving = made(saved, "R", R=declared["R"]), made(saved, "R", **declared)
    side = 6 * PATCH[plain.network.config.model_type]
    point = (bits(1, side, side).float() / 255 * 0.5 + 0.25).requires_grad_()

    def score(given: Tensor) -> Tensor:
        return plain.log_likelihood(given, ASKED[:1], SAID[:1])[0]

    (gradient,) = torch.autograd.grad(score(point), point)
    (again,) = torch.autograd.grad(saving.log_likelihood(point, ASKED[:1], SAID[:1])[0], point)
    assert torch.allclose(gradient, again, atol=1e-6)
    expected = float(gradient.abs().sum())
    step = 0.002 / expected
    with torch.no_grad():
        ahead, behind = (score(point + way * step * gradient.sign()) for way in (1, -1))
    assert float(ahead - behind) / (2 * step) == pytest.approx(expected, rel=0.05)


def test_an_anchor_of_a_file_is_interpolated(saved: Path, tmp_path: Path) -> None:
    plain = made(saved, "Qwen")
    side = 4 * PATCH[plain.network.config.model_type]
    extract_anchor(plain.tower, torch.rand(1, 3, side, side)).save(tmp_path / "a.safetensors")
    anchor = {"file": str(tmp_path / "a.safetensors")}
    adapted = made(saved, "R", R=over_qwen(alpha=0.5, cutoff=None, anchor=anchor))
    said = adapted.facts()["anchor"]
    assert said.startswith("given image at 4x4 tokens, interpolated to other grids, on Qwen")
    given = bits(2, 90, 130).float() / 255
    assert bool(adapted.log_likelihood(given, ASKED, SAID).isfinite().all())


def test_a_clip_takes_no_place_in_it(saved: Path, tmp_path: Path) -> None:
    small_clip(tmp_path)
    declared: dict[str, Any] = {
        "CLIP": {"kind": "hugging_face", "name": str(tmp_path)},
        "Swapped": {"kind": "lvlm", "name": str(saved), "tower": "CLIP"},
    }
    with pytest.raises(CellError, match="tower: 'CLIP'"):
        made(saved, "Swapped", **declared)
    declared["R"] = over_qwen(alpha=1.0, cutoff=None, anchor={"white": "CLIP"})
    with pytest.raises(CellError, match="R-Adapt over 'Qwen': "):
        made(saved, "R", **declared)
