"""Reading the weights of checkpoints in all layouts."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

from radapt.checkpoint import save_atomically
from radapt.loop import _restore
from radapt.state_dicts import LAYOUTS, load_tower, mismatch, read_state
from tests.support.checkpoint_layouts import WRAPPED

STATE = {"conv.weight": torch.ones(2, 1), "conv.bias": torch.zeros(2)}


def written(folder: Path, content: Any) -> Path:
    path = folder / "checkpoint.pt"
    torch.save(content, path)
    return path


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(
        torch.equal(found[key], STATE[key]) for key in found
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read(tmp_path: Path, layout: str) -> None:
    found, changed = read_state(written(tmp_path, WRAPPED[layout](STATE)))
    assert same(found) and changed


@pytest.mark.parametrize("outer", LAYOUTS)
@pytest.mark.parametrize("inner", [name for name in LAYOUTS if name.startswith("weights of")])
def test_a_layout_may_lie_in_another(tmp_path: Path, outer: str, inner: str) -> None:
    content = WRAPPED[outer](WRAPPED[inner](STATE))
    assert same(read_state(written(tmp_path, content))[0])


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "DataParallel": nn.DataParallel,
    "torch.compile": torch.compile,
    "AveragedModel": AveragedModel,
    "activation checkpointing": checkpoint_wrapper,
    "DataParallel of torch.compile": lambda model: nn.DataParallel(torch.compile(model)),
    "torch.compile of DataParallel": lambda model: torch.compile(nn.DataParallel(model)),
    "AveragedModel of torch.compile": lambda model: AveragedModel(torch.compile(model)),
}


# torch.compile imports modules that use deprecated parts of torch
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("key", ["", "state_dict", "model_state_dict", "model"])
def test_what_torch_wraps_is_unwrapped(tmp_path: Path, wrapper: str, key: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(2, 2))
    state = WRAPPERS[wrapper](model).state_dict()
    found, _ = read_state(written(tmp_path, {key: state, "epoch": 1} if key else state))
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_compiled_part_of_a_model_is_unwrapped(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2))
    names = list(model.state_dict())
    model[1] = torch.compile(model[1])
    assert list(model.state_dict())[2] == "1._orig_mod.weight"
    found, changed = read_state(written(tmp_path, model.state_dict()))
    assert list(found) == names and changed


SEVERAL = {
    "timm with EMA": {"state_dict": STATE, "state_dict_ema": STATE, "arch": "vit"},
    "DeiT with EMA": {"model": STATE, "model_ema": STATE},
    "WeightAveraging": {"state_dict": STATE, "current_model_state": STATE},
    "TeCoA with a prompt": {
        "state_dict": {"pad": torch.ones(1)},
        "vision_encoder_state_dict": STATE,
    },
    "TeCoA with a prompt in token space": {
        "vision_encoder_state_dict": STATE,
        "add_prompter": {"module.prompt": torch.ones(1, 5, 768)},
    },
    "a Lightning module with EMA": {
        "state_dict": {
            f"{part}.{name}": value
            for part in ("model", "ema_model")
            for name, value in STATE.items()
        }
    },
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_file_with_several_sets_of_weights_is_refused(tmp_path: Path, kind: str) -> None:
    content: dict[str, Any] = SEVERAL[kind]
    names = [name for name, value in content.items() if isinstance(value, dict)]
    shown = "ema_model, model" if len(names) == 1 else ", ".join(names)
    with pytest.raises(ValueError, match=rf"several sets of weights, which .* {shown}; a checkpo"):
        read_state(written(tmp_path, content))


def test_an_average_that_holds_no_weights_is_no_second_set(tmp_path: Path) -> None:
    content = {"state_dict": STATE, "state_dict_ema": None, "model_ema": {}, "ema_decay": 0.9}
    assert same(read_state(written(tmp_path, content))[0])


def test_a_dictionary_that_contains_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {"w": torch.ones(1)}
    content["state_dict"] = content
    found, _ = read_state(written(tmp_path, {"state_dict": content}))
    assert found.keys() == {"w", "state_dict"}


def test_plain_weights_are_left_as_they_are(tmp_path: Path) -> None:
    found, changed = read_state(written(tmp_path, STATE))
    assert same(found) and not changed
    save_file(STATE, tmp_path / "plain.safetensors")
    assert same(read_state(tmp_path / "plain.safetensors")[0])


def test_a_prefix_of_some_weights_alone_stays(tmp_path: Path) -> None:
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert read_state(written(tmp_path, mixed))[0].keys() == mixed.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "loss": 0.1}, "has no weights by name; it has keys: epoch, loss"),
        ({}, "it has keys: none"),
        ([torch.ones(1)], "has no weights by name; it has list"),
        ({1: torch.ones(1)}, "has no weights by name"),
    ],
)
def test_what_holds_no_weights_is_told(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"checkpoint.pt: .*{message}"):
        read_state(written(tmp_path, content))


def test_a_damaged_file_of_safetensors_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no header")
    with pytest.raises(ValueError, match=r"x\.safetensors: not a checkpoint with only weights"):
        read_state(tmp_path / "x.safetensors")


def test_a_state_that_contains_itself_is_told(tmp_path: Path) -> None:
    state: dict[str, Any] = {}
    state["model"] = state
    with pytest.raises(ValueError, match="has no weights by name; it has keys: model"):
        read_state(written(tmp_path, state))


def test_damaged_bytes_are_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    """Weights, and the state of a run that would resume, with 200 kinds of damage each."""
    module = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    path, draw = tmp_path / "state.pt", random.Random(0)
    trained = {"module": module.state_dict(), "optimiser": optimiser.state_dict()}
    save_atomically({**trained, "step": 3, "identity": "x"}, path)
    whole, told = path.read_bytes(), 0
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[draw.randrange(1200)] = draw.randrange(256)  # where the structure is
        path.write_bytes(damaged[: draw.choice((len(whole), draw.randrange(len(whole))))])
        for read in (
            partial(read_state, path),
            partial(_restore, path, "x", nn.Linear(3, 2), torch.optim.AdamW(module.parameters())),
        ):
            try:
                read()
            except ValueError as error:
                told += 1
                assert str(error).startswith(f"{path}: ")
    assert told > 200


def test_a_tower_with_a_visual_part_of_its_own_is_not_cut(tmp_path: Path) -> None:
    tower = nn.ModuleDict({"visual": nn.Linear(1, 2), "head": nn.Linear(2, 1)})
    state = {key: value + 1 for key, value in tower.state_dict().items()}
    load_tower(tower, written(tmp_path, state))
    assert all(torch.equal(tower.state_dict()[key], value) for key, value in state.items())


def test_a_tower_is_not_taken_from_a_deeper_clip(tmp_path: Path) -> None:
    """All names of the tower are in the file, but the file has more."""
    tower = nn.Sequential(nn.Linear(1, 1))
    deeper = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).state_dict()
    state = {f"visual.{name}": value for name, value in deeper.items()}
    with pytest.raises(ValueError, match=r"2 not in the model \(1\.weight\)"):
        load_tower(tower, written(tmp_path, {**state, "logit_scale": torch.ones(())}))


def test_a_refusal_names_the_keys_that_differ_in_300_characters() -> None:
    long = "block." * 40
    model = nn.Module()
    for name in ("a", "b", long.replace(".", "_") + "z"):
        model.register_parameter(name, nn.Parameter(torch.ones(2, 3)))
    wrong = {"b": torch.ones(4, 3), **{f"{long}{index}": torch.ones(1) for index in range(999)}}
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(wrong)
    message = mismatch(error.value)
    assert len(message) <= 300 < len(str(error.value))
    assert "2 missing (a), 999 not in the model (...k.block." in message
    assert "1 with another shape (b: [4, 3] in the file, [2, 3] in the model)" in message


def test_a_value_that_is_no_tensor_is_named(tmp_path: Path) -> None:
    state = {"weight": 3, "bias": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"checkpoint\.pt: .*weight.* expected torch\.Tensor"):
        load_tower(nn.Linear(1, 1), written(tmp_path, state))
