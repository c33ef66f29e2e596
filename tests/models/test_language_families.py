"""Further families of vision-language models, and families that are not known, as they are used."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pydantic import TypeAdapter
from torch import Tensor

from bench.catalogue.language_families import FAMILIES as KNOWN
from bench.catalogue.language_families import family_of
from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.core.types import VERIFIED_FAMILY
from bench.models import LanguageModel, build_model
from bench.models.language import verification
from bench.suite.specs import LvlmModel, ModelSpec
from tests.support.hub_cache import folder_files
from tests.support.small_families import FAMILIES, small_vipllava, without_num2words
from tests.support.small_language import SMALL
from tests.support.small_qwen import KINDS

ensure_torchvision()

ASKED = ["is the cat a dog?", "ab", "what is the dog in the ab cat?"]
SAID = ["yes", "the cat is", "no ab dog, a"]
SIDES = (40, 70)
ADAPTED = tuple(FAMILIES)


def build(place: Path, **changes: Any) -> LanguageModel:
    spec = LvlmModel(kind="lvlm", name=str(place), **{"precision": "fp32", **changes})
    with pytest.MonkeyPatch.context() as patch:
        without_num2words(patch)
        model = build_model(spec, torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(model, LanguageModel)
    return model


@pytest.fixture(scope="module", params=list(FAMILIES))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        without_num2words(patch)
        FAMILIES[request.param](folder)
    return folder


@pytest.fixture(scope="module")
def model(saved: Path) -> LanguageModel:
    return build(saved)


@pytest.fixture(scope="module")
def vipllava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vipllava")
    small_vipllava(folder)
    return folder


def images(count: int = 3, height: int = SIDES[0], width: int = SIDES[1]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 3, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).float() / 255


def test_all_known_families_are_tested() -> None:
    assert set(KNOWN) == {*SMALL, *KINDS, *FAMILIES}


def test_the_row_says_that_preprocessing_is_verified(model: LanguageModel) -> None:
    found = model.facts()
    assert VERIFIED_FAMILY not in found
    assert found["preprocessing"] == "verified on 6 images, largest difference 0"
    kind = model.network.config.model_type
    bare = kind in ("paligemma", "instructblip")
    assert found["template"] == ("the prompt alone" if bare else "the checkpoint's")
    assert found["model_pixels"] == ("any" if kind == "qwen2_vl" else "32x32")


def test_inputs_are_those_of_the_processor(model: LanguageModel, saved: Path) -> None:
    """Of a prompt alone: all of them, with text and image together, as its users call it."""
    kind = model.network.config.model_type
    with pytest.MonkeyPatch.context() as patch:
        without_num2words(patch)
        processor = transformers.AutoProcessor.from_pretrained(saved)
    content = [{"type": "image"}, {"type": "text", "text": ASKED[0]}]
    template = {} if processor.chat_template else {"chat_template": KNOWN[kind].template}
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, **template
    )
    image = (images(1)[0] * 255).round().to(torch.uint8)
    begun = {"add_special_tokens": False} if text.startswith("<bos>") else {}
    theirs = processor(text=[text], images=[[image]], **begun)
    theirs.pop("labels", None)
    theirs = theirs.convert_to_tensors("pt")
    rows = [model.chat.inputs(ASKED[0], SIDES)]
    ours = model.inputs(rows, image[None].float() / 255, left=True)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_a_batch_says_what_each_image_says_alone(model: LanguageModel) -> None:
    batch = images()
    together = model.log_likelihood(batch, ASKED, SAID)
    answers = model.answer(batch, ASKED, tokens=4)
    for row in range(3):
        part = slice(row, row + 1)
        alone = model.log_likelihood(batch[part], ASKED[part], SAID[part])
        assert torch.allclose(alone[0], together[row], atol=1e-5)
        assert model.answer(batch[part], ASKED[part], tokens=4) == answers[part]
    assert len(set(answers)) > 1


def test_answers_have_the_likelihood_with_which_they_are_generated(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Softcaps, masks of prompts that are read both ways, and cross-attention included."""
    monkeypatch.setitem(verification._NATS, torch.float32, 1e-4)
    verification.verify_answers(model, "M")


def test_the_image_is_seen(model: LanguageModel) -> None:
    white, black = torch.ones(1, 3, *SIDES), torch.zeros(1, 3, *SIDES)
    seen = [float(model.log_likelihood(each, ASKED[:1], SAID[:1])) for each in (white, black)]
    assert abs(seen[0] - seen[1]) > 1e-3


def test_gradients_are_those_of_finite_differences(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along their sign, without the rounding to 8 bits."""
    monkeypatch.setattr("bench.models.language.resizing._rounded", lambda values: values)
    points = (images(1) * 0.5 + 0.25).requires_grad_()

    def score(given: Tensor) -> Tensor:
        return model.log_likelihood(given, ASKED[:1], SAID[1:2])[0]

    (gradient,) = torch.autograd.grad(score(points), points)
    expected = float(gradient.abs().sum())
    assert expected > 0
    step = 0.002 / expected
    with torch.no_grad():
        ahead, behind = (score(points + way * step * gradient.sign()) for way in (1, -1))
    assert float(ahead - behind) / (2 * step) == pytest.approx(expected, rel=0.03)


def test_visual_tokens_are_differentiable(model: LanguageModel) -> None:
    points = images(2).requires_grad_()
    tokens = model.visual_tokens(points)
    assert tokens.shape[0] == 2
    alone = model.visual_tokens(points[:1])
    assert torch.allclose(tokens[:1], alone, atol=1e-4)
    (gradient,) = torch.autograd.grad(tokens.square().sum(), points)
    assert float(gradient.abs().sum()) > 0


def test_half_precision_and_checkpointing(saved: Path) -> None:
    half = build(saved, precision="bf16", checkpointing=True)
    points = images(1).requires_grad_()
    value = half.log_likelihood(points, ASKED[:1], SAID[:1])
    assert torch.autograd.grad(value.sum(), points)[0].isfinite().all()


@pytest.mark.parametrize("saved", ADAPTED, indirect=True)
def test_radapt_acts_on_the_tower_inside(saved: Path) -> None:
    """Without anchor and filter the model is as before; with them its outputs move."""
    adapted = {"kind": "radapt", "base": "Base", "anchor": {"white": "Base"}}
    specs = TypeAdapter(dict[str, ModelSpec]).validate_python(
        {
            "Base": {"kind": "lvlm", "name": str(saved), "precision": "fp32"},
            "Same": {**adapted, "alpha": 0.0, "cutoff": None},
            "Moved": {**adapted, "alpha": 1.0, "cutoff": 20},
        }
    )

    def refer(name: str) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            without_num2words(patch)
            return build_model(specs[name], torch.device("cpu"), refer)

    base, same, moved = (
        refer(name).log_likelihood(images(2), ASKED[:2], SAID[:2]) for name in specs
    )
    assert torch.equal(same, base)
    assert float((moved - base).abs().max()) > 1e-3


def test_another_family_is_checked_when_it_is_loaded(vipllava: Path) -> None:
    assert "vipllava" not in KNOWN
    model = build(vipllava)
    assert model.facts()["preprocessing"] == "verified on 6 images, largest difference 0"
    assert model.facts()[VERIFIED_FAMILY] == "vipllava"
    assert len(model.answer(images(2), ASKED[:2], tokens=3)) == 2


def test_a_model_without_a_separate_tower_answers(
    vipllava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(vipllava)
    monkeypatch.setattr(type(model.network), "get_encoder", lambda network, modality: network)
    assert model.facts()["model_pixels"] == "any"
    with pytest.raises(CellError, match="has no separate vision tower"):
        model.tower  # noqa: B018  a property


def test_another_family_whose_answers_are_marked_otherwise_is_refused(
    vipllava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PaliGemma's would be, if its tokens of answers were not told from the prompt's."""
    extended = LanguageModel.token_likelihoods

    def shifted(model: LanguageModel, *given: Any) -> Tensor:
        return extended(model, *given) - 0.2

    monkeypatch.setattr(LanguageModel, "token_likelihoods", shifted)
    with pytest.raises(CellError, match=r"token differs by 0\.2 nats from that in generation"):
        build(vipllava)


def test_paligemmas_prefix_is_read_both_ways_and_its_answers_are_not(tmp_path: Path) -> None:
    """The check finds answers that are read both ways."""
    FAMILIES["paligemma"](tmp_path)
    model = build(tmp_path)
    verification.verify_answers(model, "M")
    model.chat._answer_type = 0
    with pytest.raises(CellError, match="nats from that in generation"):
        verification.verify_answers(model, "M")


def test_preprocessing_that_differs_is_refused_before_the_weights_are_read(
    vipllava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.models.language.pixels.resize_bits",
        lambda given, size, kernel: torch.nn.functional.interpolate(given, size, mode=kernel),
    )
    monkeypatch.setattr(
        transformers.AutoModelForImageTextToText, "from_pretrained", lambda *_, **__: 1 / 0
    )
    with pytest.raises(CellError, match=r"vipllava.*: the differentiable preprocessing differs"):
        build(vipllava)


def test_a_prompt_with_an_encoder_of_its_own_is_refused(vipllava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(vipllava).items():
        (tmp_path / name).write_bytes(content)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"] = {"model_type": "t5", "is_encoder_decoder": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CellError, match=r"has an encoder for the prompt \(t5\)"):
        build(tmp_path)


def test_a_family_is_known_from_the_configuration_alone() -> None:
    assert family_of("M", {"model_type": "paligemma"}) is KNOWN["paligemma"]
    assert family_of("M", {"model_type": "aya_vision"}).template is None


def test_an_old_repository_of_llava_that_does_not_count_tokens(tmp_path: Path) -> None:
    SMALL["llava"](tmp_path / "new")
    whole = build(tmp_path / "new")
    path = tmp_path / "new" / "processor_config.json"
    said = json.loads(path.read_text())
    for name in ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"):
        said.pop(name, None)
    path.write_text(json.dumps(said))
    bare = build(tmp_path / "new")
    assert bare.chat.question(ASKED[0], SIDES) == whole.chat.question(ASKED[0], SIDES)
