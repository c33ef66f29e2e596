"""Qwen2.5-VL and Qwen3-VL: what their processors make of images, and of texts about them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.models import LanguageModel, build_model
from bench.specs import LvlmModel
from tests.small_qwen import KINDS, PATCH, small_qwen

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
    count = model.visual_tokens(given.float() / 255).shape[1]
    ids = model.chat.question("is the cat a dog?", count)
    assert ids == theirs["input_ids"][0].tolist()
    ours = torch.tensor([ids]) == model.chat.image_id
    assert torch.equal(ours.long(), theirs["mm_token_type_ids"].long())
    assert count == int(theirs["image_grid_thw"].prod()) // 4


def test_an_image_that_keeps_its_size_keeps_values_between_bits(model: LanguageModel) -> None:
    """No rounding comes between an attack's small steps and the model."""
    side = 6 * PATCH[model.network.config.model_type]
    given = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    how = model.preprocessing
    mean, std = (torch.tensor(values)[:, None, None] for values in (how.mean, how.std))
    found = model.pixels(given)["pixel_values"]
    flat = torch.sort(((given - mean) / std).repeat(2, 1, 1, 1).flatten()).values
    assert torch.allclose(torch.sort(found.flatten()).values, flat, atol=1e-5)
