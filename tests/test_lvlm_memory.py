"""Memory of vision-language models: counts against models of the true classes."""

import json
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.lvlm_memory import kept
from bench.lvlm_size import lvlm_size
from bench.lvlm_tokens import image_tokens
from bench.models import LanguageModel, build_model
from bench.specs import LvlmModel
from tests.small_language import SMALL
from tests.small_qwen import KINDS, small_qwen

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


def build(folder: Path, kind: str, precision: str = "fp32") -> LanguageModel:
    spec = LvlmModel(kind="lvlm", name=str(folder / kind), precision=precision)  # type: ignore[arg-type]
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


class _Held:
    """What autograd keeps of a tensor, for as long as it does."""

    def __init__(self, value: Tensor) -> None:
        self.value = value


def saved_bytes(model: LanguageModel, images: Tensor, prompts: list[str], texts: list[str]) -> int:
    """Bytes that are kept for the backward pass when the loss is there; weights aside."""
    alive: weakref.WeakSet[_Held] = weakref.WeakSet()

    def pack(value: Tensor) -> _Held:
        held = _Held(value)
        alive.add(held)
        return held

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.value):
        loss = model.log_likelihood(images, prompts, texts).sum()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages = {held.value.untyped_storage().data_ptr(): held.value for held in alive}
    assert loss.requires_grad
    return sum(
        value.untyped_storage().nbytes() for at, value in storages.items() if at not in weights
    )


@every_kind
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_kept_is_what_autograd_keeps(folder: Path, kind: str, precision: str) -> None:
    """To 10%: statistics of norms and attention are not counted."""
    model = build(folder, kind, precision)
    config, (height, width) = config_of(folder, kind), SIZE.get(kind, (32, 32))
    processor = json.loads((folder / kind / "preprocessor_config.json").read_text())
    images = torch.rand(2, 3, height, width).requires_grad_()
    tokens = image_tokens(config, processor, (height, width))
    size, texts = lvlm_size(config), ["the cat is a dog", "the cat is a dog"]
    asked, said = model.chat.exchange("is the cat a dog?", texts[0], tokens.text)
    found = saved_bytes(model, images, ["is the cat a dog?", "ab"], texts)
    length, precise = len(asked) + len(said), 4 if precision == "fp32" else 2
    logits = 4 * len(said) * size.vocabulary
    estimate = 2 * (kept(size, tokens, length, precise) + logits)
    print(kind, precision, f"{estimate / found:.3f}")
    assert estimate == pytest.approx(found, rel=0.1)
