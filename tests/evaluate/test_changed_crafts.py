"""Crafts that were changed on disk, and attacks that propose what is no image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import run_bench
from bench import load_results
from bench.evaluate import craft
from bench.suite.load import load_suite
from tests.evaluate.test_evaluate import evaluator
from tests.support.stored_cells import change_body

ONE_CRAFT: dict[str, Any] = {
    "models": {"CLIP": {"kind": "nano", "weights": "clip"}},
    "attacks": [{"kind": "pgd", "eps": "4/255", "steps": 3}],
    "samples": 8,
}


def test_changed_files_are_named_at_the_end_of_a_run_that_computes_them_again(
    suite_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_file(**ONE_CRAFT, threats=[{"transfer": "CLIP"}])
    call = ["run", str(suite), "--results", str(tmp_path), "--device", "cpu", "--no-check"]
    assert run_bench.main(call) == 0
    assert "damaged files" not in capsys.readouterr().out
    folder = tmp_path / "small"
    before = load_results(folder)
    (key,) = before.loc[before["attack"] == "pgd", "cell_id"]
    change_body(folder, key)
    (path,) = (tmp_path / "crafts").glob("*.safetensors")
    with safe_open(path, "numpy") as file:
        facts = file.metadata()
    made = load_file(path)["delta"]
    save_file({"delta": np.zeros_like(made)}, path, facts)
    assert run_bench.main(call) == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines.index(f"damaged files, now in {folder / 'set_aside'}; a run computes them again:")
    named = dict(line.strip().split(": ", 1) for line in lines[place + 1 : place + 3])
    assert named[f"crafts-{path.name}"] == "its checksum does not fit its content and name"
    assert f"{key}.body" in named
    again = load_results(folder)
    assert again["value"].tolist() == before["value"].tolist()
    assert np.array_equal(load_file(path)["delta"], made)


@pytest.mark.parametrize("threat", ["white-box", {"transfer": "CLIP"}])
def test_an_attack_that_proposes_no_numbers_is_blamed_and_nothing_is_kept(
    suite_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threat: object,
) -> None:
    def no_numbers(model: object, images: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        return torch.full_like(images, torch.nan)

    monkeypatch.setattr(craft, "build_attack", lambda *_, **__: no_numbers)
    evaluate, cells = evaluator(
        load_suite(suite_file(**ONE_CRAFT, threats=[threat])), tmp_path, batch=8
    )
    result = evaluate(cells[1])
    assert result.status == "failed"
    assert result.reason == "pgd: the attack proposed pixels that are not finite numbers"
    assert not list((tmp_path / "crafts").glob("*.safetensors"))
