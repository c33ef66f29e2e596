"""Vision-language models: likelihoods, answers, gradients, loading."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import CellError, TimeUp
from bench.core.language_types import AnsweringModel
from bench.core.resolved_names import Lock
from bench.hub.weights import origin
from bench.models import LanguageModel, build_model
from bench.plan.identity import model_identity
from bench.plan.resolve import fingerprint
from bench.suite.load import Suite
from bench.suite.specs import LvlmModel, TinyModel
from tests.support.hub_cache import FIRST, folder_files, offline, put
from tests.support.small_language import SMALL, small_llava
from tests.support.small_qwen import KINDS, small_qwen

CPU = torch.device("cpu")
EVERY = {**SMALL, **{kind: partial(small_qwen, kind) for kind in KINDS}}
ASKED = ["is the cat a dog?", "ab", "what is the dog in the ab cat?"]
SAID = ["yes", "the cat is", "no ab dog, a"]
SIDES = (40, 70)


def build(place: object, **changes: Any) -> LanguageModel:
    spec = LvlmModel(kind="lvlm", name=str(place), **{"precision": "fp32", **changes})
    model = build_model(spec, CPU, lambda name: build(name))
    assert isinstance(model, LanguageModel)
    return model


@pytest.fixture(scope="module", params=list(EVERY))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    EVERY[request.param](folder)
    return folder


@pytest.fixture(scope="module")
def model(saved: Path) -> LanguageModel:
    return build(saved)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    small_llava(folder)
    return folder


def inputs(model: LanguageModel, asked: str, said: list[int], image: Tensor) -> dict[str, Tensor]:
    """What transformers' own model takes of one exchange."""
    return model.inputs([model.chat.inputs(asked, SIDES, said)], image, left=False)


def images(count: int = 3, height: int = SIDES[0], width: int = SIDES[1]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 3, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).float() / 255


def test_it_is_frozen_and_answers(model: LanguageModel) -> None:
    assert isinstance(model, AnsweringModel)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_loading_changes_no_state_of_the_process(saved: Path) -> None:
    before = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    model = build(saved, precision="bf16")
    model.log_likelihood(images(1), ASKED[:1], SAID[:1])
    model.answer(images(1), ASKED[:1], tokens=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == before[1:]


def test_an_answer_ends_when_time_is_up(llava: Path) -> None:
    asked: list[bool] = []

    def check() -> None:
        asked.append(True)
        if len(asked) == 2:
            raise TimeUp("no time is left")

    spec = LvlmModel(kind="lvlm", name=str(llava), precision="fp32")
    model: Any = build_model(spec, CPU, lambda name: build(name), check=check)
    with pytest.raises(TimeUp):
        model.with_tower(model.tower).answer(images(1), ASKED[:1], tokens=3)
    assert len(asked) == 2  # before the third token


def test_a_batch_says_what_each_image_says_alone(model: LanguageModel) -> None:
    batch = images()
    together = model.log_likelihood(batch, ASKED, SAID)
    answers = model.answer(batch, ASKED, tokens=6)
    assert together.dtype == torch.float32
    for row in range(3):
        part = batch[row : row + 1]
        alone = model.log_likelihood(part, ASKED[row : row + 1], SAID[row : row + 1])
        assert torch.allclose(alone[0], together[row], atol=1e-5)
        assert model.answer(part, ASKED[row : row + 1], tokens=6) == answers[row : row + 1]
    assert len(set(answers)) > 1


def test_the_likelihood_is_that_of_the_model_itself(model: LanguageModel, saved: Path) -> None:
    """Of one exchange, through transformers' own forward pass and loss."""
    asked, said = model.chat.exchange(ASKED[1], SAID[1], SIDES)
    whole = inputs(model, ASKED[1], said, images(1))
    labels = whole["input_ids"].clone()
    labels[:, : len(asked)] = -100
    network: Any = model.network
    with torch.no_grad():
        theirs = network(**whole, labels=labels).loss
        ours = model.log_likelihood(images(1), ASKED[1:2], SAID[1:2])
    assert torch.allclose(ours[0], -theirs, atol=1e-5)


def test_the_likelihood_is_that_of_generation(model: LanguageModel) -> None:
    """Each token's, as generation sees it after the tokens before."""
    generator: Any = model.network
    part = images(1)
    asked, said = model.chat.exchange(ASKED[0], SAID[2], SIDES)
    assert asked == model.chat.question(ASKED[0], SIDES)
    total = 0.0
    for place, token in enumerate(said):
        found = generator.generate(
            **inputs(model, ASKED[0], said[:place], part), max_new_tokens=1,
            output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        total += float(found.logits[0][0].log_softmax(-1)[token])
    with torch.no_grad():
        mean = model.log_likelihood(part, ASKED[:1], SAID[2:])
    assert float(mean) == pytest.approx(total / len(said), abs=1e-4)


def test_a_greedy_answer_has_the_likeliest_tokens(model: LanguageModel) -> None:
    generator: Any = model.network
    batch = images()
    for row, text in enumerate(model.answer(batch, ASKED, tokens=5)):
        new: list[int] = []
        while len(new) < 5 and model.chat.end not in new:
            with torch.no_grad():
                given = inputs(model, ASKED[row], new, batch[row : row + 1])
                logits = generator(**given).logits[0, -1]
            new.append(int(logits.argmax()))
        assert text == model.chat.tokenizer.decode(new, skip_special_tokens=True).strip()


@pytest.mark.parametrize("sides", [(32, 32), (24, 40)])
def test_gradients_are_those_of_finite_differences(
    model: LanguageModel, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along their sign; where images are resized, without the rounding to 8 bits."""
    monkeypatch.setattr("bench.models.language.resizing._rounded", lambda values: values)
    points = (images(1, *sides) * 0.5 + 0.25).requires_grad_()

    def score(given: Tensor) -> Tensor:
        return model.log_likelihood(given, ASKED[:1], SAID[1:2])[0]

    (gradient,) = torch.autograd.grad(score(points), points)
    expected = float(gradient.abs().sum())
    assert expected > 0
    step = 0.002 / expected  # so that the two values are far apart for single precision
    with torch.no_grad():
        ahead, behind = (score(points + way * step * gradient.sign()) for way in (1, -1))
    assert float(ahead - behind) / (2 * step) == pytest.approx(expected, rel=0.02)


def test_checkpointing_changes_memory_and_nothing_else(saved: Path) -> None:
    from transformers.modeling_layers import GradientCheckpointingLayer  # after torchvision

    plain, saving = build(saved), build(saved, checkpointing=True)
    calls: list[nn.Module] = []
    for block in saving.modules():
        if isinstance(block, GradientCheckpointingLayer):
            inside = next(child for child in block.children() if [*child.parameters()])
            inside.register_forward_hook(lambda module, *_: calls.append(module))
    gradients = []
    for model in (plain, saving):
        points = images().requires_grad_()
        value = model.log_likelihood(points, ASKED, SAID).sum()
        first = len(calls)
        gradients.append(torch.autograd.grad(value, points)[0])
    again = calls[first:]
    # LLaVA reads a layer of its tower; the blocks behind it have no part in the gradient
    unread = -1 - getattr(saving.network.config, "vision_feature_layer", -1)
    assert len(again) == len(set(again)) == len(set(calls)) - unread
    assert torch.equal(*gradients)
    assert saving.answer(images(), ASKED, tokens=4) == plain.answer(images(), ASKED, tokens=4)
    assert not any(module.training for module in saving.modules())


def test_visual_tokens_are_differentiable(model: LanguageModel) -> None:
    points = images(2).requires_grad_()
    tokens = model.visual_tokens(points)
    assert tokens.shape[0] == 2
    assert tokens.dtype == torch.float32
    (gradient,) = torch.autograd.grad(tokens.square().sum(), points)
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize(("name", "kind"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_precisions(saved: Path, name: str, kind: str) -> None:
    single, half = build(saved), build(saved, precision=name)
    assert {str(weight.dtype) for weight in half.network.parameters()} == {f"torch.{kind}"}
    assert half.facts()["precision"] == kind
    points = images().requires_grad_()
    values = half.log_likelihood(points, ASKED, SAID)
    assert values.dtype == torch.float32
    assert torch.autograd.grad(values.sum(), points)[0].isfinite().all()
    assert torch.allclose(values, single.log_likelihood(points, ASKED, SAID), atol=0.5)


def test_the_image_token_in_a_text_is_told(model: LanguageModel) -> None:
    mark = {"qwen2_5_vl": "<|image_pad|>", "qwen3_vl": "<|image_pad|>"}.get(
        model.network.config.model_type, "<image>"
    )
    with pytest.raises(ValueError, match=rf"must not contain the image token '{re.escape(mark)}'"):
        model.answer(images(1), [f"what is {mark}"], tokens=2)


def test_a_checkpoint_without_a_template_gets_that_of_llava(llava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(llava).items():
        if name != "chat_template.jinja":
            (tmp_path / name).write_bytes(content)
    bare, whole = build(tmp_path), build(llava)
    assert bare.chat.exchange(ASKED[0], SAID[1], SIDES) == whole.chat.exchange(
        ASKED[0], SAID[1], SIDES
    )
    assert bare.facts()["template"] == "LLaVA-1.5's"
    text = whole.chat.tokenizer.decode(whole.chat.question("ab?", SIDES))
    assert text.replace("<image>" * 16, "<image>") == "<s> USER: <image>\nab? ASSISTANT:"


def test_another_checkpoint_without_a_template_is_refused(saved: Path, tmp_path: Path) -> None:
    for name, content in folder_files(saved).items():
        if name != "chat_template.jinja":
            (tmp_path / name).write_bytes(content)
    if json.loads((saved / "config.json").read_text())["model_type"] == "llava":
        assert build(tmp_path).facts()["template"] == "LLaVA-1.5's"
    else:
        with pytest.raises(CellError, match="has no chat template"):
            build(tmp_path)


def test_answers_are_greedy_whatever_the_checkpoint_says(llava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(llava).items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "generation_config.json"
    said = json.loads(path.read_text())
    sampling = {"do_sample": True, "temperature": 9.0, "repetition_penalty": 3.0}
    path.write_text(json.dumps({**said, **sampling}))
    expected = build(llava).answer(images(), ASKED, tokens=8)
    assert build(tmp_path).answer(images(), ASKED, tokens=8) == expected


def test_an_answer_ends_at_any_of_the_checkpoints_ends(llava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(llava).items():
        (tmp_path / name).write_bytes(content)
    before = build(llava)
    [text] = before.answer(images(1), ASKED[:1], tokens=8)
    said = before.chat.exchange(ASKED[0], text, SIDES)[1]
    second = next(token for token in said[1:] if token != said[0])
    path = tmp_path / "generation_config.json"
    end = before.chat.tokenizer.eos_token_id
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [end, second]}))
    model = build(tmp_path)
    assert model.chat.ends == sorted([end, second])
    assert model.chat.end == end
    cut = said[: said.index(second) + 1]
    expected = before.chat.tokenizer.decode(cut, skip_special_tokens=True).strip()
    assert model.answer(images(1), ASKED[:1], tokens=8) == [expected]
    assert len(expected) < len(text)


def test_loading_shows_nothing_and_changes_no_setting_of_bars(
    llava: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    before = logging.set_tqdm_hook(None)
    logging.set_tqdm_hook(before)
    for family in ("llava", "qwen2_5_vl"):
        build_model(TinyModel(kind="lvlm-tiny", family=family), CPU, build)
    build(llava)
    assert capsys.readouterr().err == ""
    assert logging.set_tqdm_hook(before) is before
    assert not are_progress_bars_disabled()


def test_a_tiny_model_seeds_no_other_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an accelerator's, which `torch.manual_seed` seeds too."""
    monkeypatch.setattr(torch, "manual_seed", lambda seed: pytest.fail(f"seeded with {seed}"))
    before = torch.get_rng_state()
    build_model(TinyModel(kind="lvlm-tiny", family="llava"), CPU, build)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("no room")])
def test_memory_that_ran_out_while_loading_may_pass(
    llava: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    import transformers

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", fails)
    with pytest.raises(type(error)):
        build(llava)


def test_a_repository_of_the_hub(
    llava: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("hub")
    offline(monkeypatch, cache)
    put(cache, "org/llava", folder_files(llava), FIRST, refs=("v1",))
    spec = LvlmModel(kind="lvlm", name="org/llava", revision="v1")
    local = LvlmModel(kind="lvlm", name=f"local-dir:{llava}")
    assert fingerprint(spec) == fingerprint(local)
    assert origin(spec) == f"org/llava@{FIRST}"
    expected = build(f"local-dir:{llava}").answer(images(), ASKED, tokens=4)
    assert build("org/llava", revision="v1").answer(images(), ASKED, tokens=4) == expected
    with pytest.raises(CellError, match="is not in the cache"):
        build("org/llava", revision="v2")
    with pytest.raises(
        CellError, match="no such folder; allowed: a folder, or OWNER/NAME of the hub"
    ):
        build("/nowhere/llava")


def test_a_template_is_part_of_the_fingerprint(llava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(llava).items():
        (tmp_path / name).write_bytes(content)
    spec = LvlmModel(kind="lvlm", name=str(tmp_path))
    before = fingerprint(spec)
    path = tmp_path / "chat_template.jinja"
    path.write_text(path.read_text().replace("ASSISTANT", "HELPER"))
    assert fingerprint(spec) != before


@pytest.mark.parametrize("name", ["special_tokens_map.json", "added_tokens.json"])
def test_so_are_its_special_tokens(llava: Path, tmp_path: Path, name: str) -> None:
    for other, content in folder_files(llava).items():
        (tmp_path / other).write_bytes(content)
    spec = LvlmModel(kind="lvlm", name=str(tmp_path))
    found = {fingerprint(spec)}
    for content in ('{"a": 1}', '{"a": 2}'):
        (tmp_path / name).write_text(content)
        found.add(fingerprint(spec))
    assert len(found) == 3


def test_so_is_a_vocabulary_whose_class_is_not_named(llava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(llava).items():
        (tmp_path / name).write_bytes(content)
    config, words = tmp_path / "tokenizer_config.json", tmp_path / "tokenizer.json"
    said = json.loads(config.read_text())
    assert said.pop("tokenizer_class")
    config.write_text(json.dumps(said))
    spec = LvlmModel(kind="lvlm", name=str(tmp_path))
    before = fingerprint(spec), build(tmp_path).chat.exchange(ASKED[0], SAID[1], SIDES)
    known = json.loads(words.read_text())
    vocabulary = known["model"]["vocab"]
    vocabulary["x"], vocabulary["▁the"] = vocabulary["▁the"], vocabulary["x"]
    words.write_text(json.dumps(known))
    after = fingerprint(spec), build(tmp_path).chat.exchange(ASKED[0], SAID[1], SIDES)
    assert before[1] != after[1]
    assert before[0] != after[0]
    words.unlink()
    with pytest.raises(CellError, match=r"tokenizer\.json or vocab\.json or .* is missing"):
        build(tmp_path)


def test_weights_that_lack_tensors_are_refused(llava: Path, tmp_path: Path) -> None:
    from safetensors.torch import load, save

    for name, content in folder_files(llava).items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "model.safetensors"
    weights = load(path.read_bytes())
    lost = next(name for name in weights if "linear_1.weight" in name)
    del weights[lost]
    path.write_bytes(save(weights, {"format": "pt"}))
    with pytest.raises(
        CellError,
        match=r"1 tensors of the checkpoint are missing .*the first is .*linear_1\.weight",
    ):
        build(tmp_path)


def test_another_kind_of_model_is_refused(llava: Path, tmp_path: Path) -> None:
    for name, content in folder_files(llava).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(
        CellError, match="`model_type` is 'bert'; the installed transformers has no"
    ):
        build(tmp_path)


def test_the_identity_has_what_changes_numbers(llava: Path) -> None:
    def identity(**changes: Any) -> dict[str, Any]:
        given = {"kind": "lvlm", "name": str(llava), **changes}
        suite = Suite.model_validate(
            {
                "suite": "s", "protocol": {"preset": "radapt-paper"}, "samples": 1,
                "models": {"LLaVA": given}, "datasets": [{"kind": "nano", "name": "digits"}],
            }
        )  # fmt: skip
        return model_identity(suite, Lock(models={"LLaVA": "hash"}), "LLaVA")

    assert identity() == {"lvlm": "bf16", "fingerprint": "hash"}
    assert identity(checkpointing=True, gpus=0.5, name="org/name") == identity()
    assert identity(precision="fp32") != identity()
