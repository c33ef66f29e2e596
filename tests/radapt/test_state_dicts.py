"""Reading the weights of checkpoints in all layouts."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from radapt.checkpoint import save_atomically
from radapt.loop import _restore
from radapt.state_dicts import LAYOUTS, load_tower, read_state
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
