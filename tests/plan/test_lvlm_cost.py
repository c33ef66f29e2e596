"""Memory of vision-language models: counts against models of the true classes."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from bench import catalogue
from bench.commands.plan import plan_lines
from bench.core.resolved_names import Lock
from bench.models import LanguageModel, build_model
from bench.models.lowered_precision import Bfloat16AnsweringModel
from bench.plan.cost.lvlm_estimate import memory_lines
from bench.plan.cost.lvlm_memory import GIB, MemoryNeed, autograd_bytes, memory_need
from bench.plan.cost.lvlm_size import _TEXT, lvlm_size
from bench.plan.cost.lvlm_tokens import image_tokens
from bench.suite.load import Suite
from bench.suite.specs import LvlmModel
from tests.support import small_language
from tests.support import small_qwen as small_qwen_module
from tests.support.kept_bytes import kept_bytes
from tests.support.peak_bytes import PeakBytes
from tests.support.small_language import SMALL
from tests.support.small_qwen import KINDS, small_qwen

EVERY: dict[str, Callable[[Path], Any]] = {
    **SMALL,
    **{kind: partial(small_qwen, kind) for kind in KINDS},
}
# sizes at which nothing is resized, but tiles and windows occur
SIZE = {"qwen2_5_vl": (112, 112), "qwen3_vl": (128, 128)}
every_kind = pytest.mark.parametrize("kind", EVERY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for kind, write in EVERY.items():
        write(root / kind)
    return root


def config_of(folder: Path, kind: str) -> dict[str, Any]:
    return dict(json.loads((folder / kind / "config.json").read_text()))


def build(folder: Path, kind: str, precision: str = "fp32", **more: Any) -> LanguageModel:
    given = {"name": str(folder / kind), "precision": precision, **more}
    spec = LvlmModel.model_validate({"kind": "lvlm", **given})
    model = build_model(spec, torch.device("cpu"), lambda name: pytest.fail(name))
    assert isinstance(model, LanguageModel)
    return model


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@every_kind
def test_parameters_are_counted_exactly(folder: Path, kind: str) -> None:
    model = build(folder, kind)
    size = lvlm_size(config_of(folder, kind))
    assert size.parameters == count(model.network)
    merger = [m for name, m in model.tower.named_children() if "merger" in name]
    assert size.vision == count(model.tower) - sum(map(count, merger))
    language = model.network.get_submodule("model.language_model")
    head = model.network.get_submodule("lm_head")
    assert size.language == count(language) + count(head)
    block = language.get_submodule("layers.0")
    assert size.text.parameters == count(block)


@every_kind
@pytest.mark.parametrize("sides", [(32, 32), (40, 70), (96, 120), (200, 130), (131, 257)])
def test_tokens_are_the_models(folder: Path, kind: str, sides: tuple[int, int]) -> None:
    model = build(folder, kind)
    processor = json.loads((folder / kind / "preprocessor_config.json").read_text())
    found = image_tokens(config_of(folder, kind), processor, sides)
    seen: list[int] = []
    first = next(m for m in model.tower.modules() if type(m).__name__.endswith("Attention"))
    first.register_forward_hook(lambda module, args, kwargs, out: seen.append(
        (out[0] if isinstance(out, tuple) else out).shape[:-1].numel()
    ), with_kwargs=True)  # fmt: skip
    with torch.no_grad():
        tokens = model.visual_tokens(torch.rand(1, 3, *sides))
    assert found.text == tokens.shape[1]
    assert found.tower == seen[0]


def saved_bytes(
    model: LanguageModel, images: Tensor, prompts: list[str], texts: list[str], lower: bool = False
) -> int:
    """Bytes that are kept for the backward pass when the loss is there; weights aside."""

    def loss() -> Tensor:
        asked = Bfloat16AnsweringModel(model, torch.device("cpu")) if lower else model
        return asked.log_likelihood(images, prompts, texts).sum()

    return kept_bytes(loss, model.parameters())


@every_kind
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_kept_is_what_autograd_keeps(folder: Path, kind: str, precision: str) -> None:
    """To 4%: statistics of norms and attention are not counted."""
    model = build(folder, kind, precision)
    config, (height, width) = config_of(folder, kind), SIZE.get(kind, (32, 32))
    processor = json.loads((folder / kind / "preprocessor_config.json").read_text())
    images = torch.rand(2, 3, height, width).requires_grad_()
    tokens = image_tokens(config, processor, (height, width))
    size, texts = lvlm_size(config), ["the cat is a dog", "the cat is a dog"]
    asked, said = model.chat.exchange("is the cat a dog?", texts[0], (height, width))
    found = saved_bytes(model, images, ["is the cat a dog?", "ab"], texts)
    length, number_bytes = len(asked) + len(said), 4 if precision == "fp32" else 2
    logits = 4 * len(said) * size.vocabulary
    estimate = 2 * (autograd_bytes(size, tokens, length, number_bytes) + logits)
    assert estimate == pytest.approx(found, rel=0.04)


@every_kind
def test_an_attack_in_halves_keeps_its_casts_of_weights(folder: Path, kind: str) -> None:
    model = build(folder, kind)
    config, (height, width) = config_of(folder, kind), SIZE.get(kind, (32, 32))
    processor = json.loads((folder / kind / "preprocessor_config.json").read_text())
    tokens, size = image_tokens(config, processor, (height, width)), lvlm_size(config)
    images, texts = torch.rand(2, 3, height, width).requires_grad_(), ["the cat is a dog"] * 2
    found = saved_bytes(model, images, ["is the cat a dog?", "ab"], texts, lower=True)
    asked, said = model.chat.exchange("is the cat a dog?", texts[0], (height, width))
    logits = 4 * len(said) * size.vocabulary
    estimate = 2 * (autograd_bytes(size, tokens, len(asked) + len(said), 2) + logits)
    # some activations stay in single precision
    assert found == pytest.approx(1.04 * (estimate + 2 * size.parameters), rel=0.05)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["llava", "qwen3_vl"])
def test_an_attacks_step_takes_at_most_what_is_estimated(
    kind: str, checkpointing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no less than three quarters of it; wide enough that tokens outweigh the pixels."""
    wide = {"num_attention_heads": 4, "num_hidden_layers": 6}
    text = {"hidden_size": 256, "intermediate_size": 688, "num_key_value_heads": 2, **wide}
    vision = {"hidden_size": 128, "intermediate_size": 512}
    for name, value in text.items():
        monkeypatch.setitem(small_language.TEXT, name, value)
    for name, value in {**vision, **wide}.items():
        monkeypatch.setitem(small_language.VISION, name, value)
    for name, value in {**vision, "depth": 6, "num_heads": 4, "out_hidden_size": 256}.items():
        monkeypatch.setitem(small_qwen_module.VISION["qwen3_vl"], name, value)
    monkeypatch.setitem(small_qwen_module.HEAD, "qwen3_vl", (64, [16, 8, 8]))
    EVERY[kind](tmp_path / kind)
    model = build(tmp_path, kind, "bf16", checkpointing=checkpointing)
    height, width = SIZE.get(kind, (32, 32))
    processor = json.loads((tmp_path / kind / "preprocessor_config.json").read_text())
    config, answer = config_of(tmp_path, kind), "the cat is a dog and " * 3
    size, tokens = lvlm_size(config), image_tokens(config, processor, (height, width))
    asked, said = model.chat.exchange("is the cat a dog?", answer, (height, width))
    monkeypatch.setattr("bench.plan.cost.lvlm_memory.PROMPT", len(asked) - tokens.text)
    each = memory_need(size, tokens, number_bytes=2, answer=len(said))
    images = torch.rand(4, 3, height, width).requires_grad_()
    prompts = ["is the cat a dog?", *["is the cat?"] * 3]
    model.visual_tokens(images[:1].detach())  # which counts an image's tokens, once for a size
    with PeakBytes(model.parameters()) as peak:
        value = model.log_likelihood(images, prompts, [answer] * 4).sum()
        torch.autograd.grad(value, images)
    estimate = 4 * (each.checkpointed if checkpointing else each.image)
    assert 0.75 * estimate < peak.most < estimate


def test_defaults_are_those_of_transformers() -> None:
    for kind, settings in _TEXT.items():
        config = transformers.AutoConfig.for_model(kind)
        assert {name: getattr(config, name) for name in settings} == settings
    known = catalogue.language_models()["llava-hf/llava-onevision-qwen2-7b-ov-hf"]
    config = transformers.LlavaOnevisionConfig()
    assert known["image_grid_pinpoints"] == [list(each) for each in config.image_grid_pinpoints]
    for name, value in known["vision_config"].items():
        assert getattr(config.vision_config, name) == value
    tower = catalogue.language_models()["llava-hf/llava-1.5-7b-hf"]["vision_config"]
    default = transformers.LlavaConfig().vision_config
    assert {name: getattr(default, name) for name in tower} == tower


def test_known_models_have_the_sizes_in_their_names() -> None:
    billions = {
        name: round(lvlm_size(config).parameters / 1e9, 2)
        for name, config in catalogue.language_models().items()
    }
    assert billions["Qwen/Qwen3-VL-8B-Instruct"] == 8.77  # as published
    for name, count in billions.items():
        stated = float(re.findall(r"(\d+)b\b", name.lower())[0])
        assert stated <= count < stated * 1.26


def test_a_text_models_part_may_lie_at_the_top() -> None:
    """As in the repositories of Qwen2.5-VL."""
    config = catalogue.language_models()["Qwen/Qwen2.5-VL-3B-Instruct"]
    flat = {**config["text_config"], **config, "text_config": None}
    assert lvlm_size(flat) == lvlm_size(config)


def test_images_fit_as_memory_allows() -> None:
    each = MemoryNeed(weights=20 * GIB, image=GIB, checkpointed=GIB // 4, cache=0)
    assert [each.batch(gpu, checkpointing=False) for gpu in (16, 24, 48)] == [0, 1, 23]
    assert each.batch(24, checkpointing=True) == 6
    answering = replace(each, cache=2 * GIB)  # takes more than a step
    assert [answering.batch(48, checkpointing=on) for on in (False, True)] == [11, 11]


def test_long_answers_take_memory(folder: Path) -> None:
    models = {"Local": {"kind": "lvlm", "name": str(folder / "qwen3_vl")}}
    shares = []
    for given, counted in ((20, 32), (200, 200)):
        protocol = {"preset": "radapt-paper", "answer_tokens": given}
        text = "\n".join(memory_lines(suite_of(models, protocol=protocol)))
        assert f"64 tokens of prompt and {counted} of answer" in text
        shares.append(text.split("images per batch")[1])
    assert shares[0] != shares[1]


def suite_of(models: dict[str, Any], **more: Any) -> Suite:
    return Suite.model_validate(
        {
            "suite": "memory", "protocol": {"preset": "radapt-paper"}, "samples": 1,
            "datasets": [{"kind": "nano", "name": "digits"}], "models": models, **more,
        }
    )  # fmt: skip


def test_a_plan_says_what_fits(folder: Path) -> None:
    """From a folder's own configuration, else from the catalogue; no more than it knows."""
    models = {
        "Local": {"kind": "lvlm", "name": str(folder / "qwen3_vl"), "precision": "fp32"},
        "Known": {"kind": "lvlm", "name": "llava-hf/llava-1.5-13b-hf", "checkpointing": True},
        "Unknown": {"kind": "lvlm", "name": "nobody/knows"},
    }
    suite = suite_of(models)
    lines = list(memory_lines(suite))
    text = "\n".join(lines)
    assert "an estimate from configurations, not measured" in text
    assert "images of 224x224 pixels," in text
    assert "Local: 0.00 billion parameters" in text
    assert "Known: 13.35 billion parameters" in text
    assert "in bf16, 24.9 GB" in text
    assert (
        "24 GB: none; 48 GB: 3 (35); 80 GB: 10 (91)" in text
    )  # answering takes more than a checkpointed step
    assert "with checkpointing (here on)" in text
    assert lines[-1] == "  memory    Unknown: size not known"
    plan = list(plan_lines(suite, Lock()))
    assert [line for line in plan if line in lines] == lines
    weights = next(line for line in plan if line.startswith("  weights"))
    assert weights.endswith("Known 26.70 GB, Unknown of unknown size")
    assert "one model at a time is counted" in text
    assert "copy of the weights in bf16" not in text
    single = {"kind": "lvlm", "name": "llava-hf/llava-1.5-7b-hf", "precision": "fp32"}
    half = {**single, "precision": "bf16"}
    attack = {"kind": "pgd", "eps": "4/255", "steps": 1, "precision": "bf16"}
    both = {"threats": ["white-box"], "attacks": [attack]}
    told = list(memory_lines(suite_of({"Single": single, "Half": half}, **both)))
    [cast] = [line for line in told if "copy of the weights in bf16" in line]
    assert "needs 13.2 GB more" in cast
    assert "Single: 7.06" in told[told.index(cast) - 3]
    assert not list(memory_lines(suite_of({"Nano": {"kind": "nano", "weights": "clip"}})))
