"""Weights and images that are overwritten while a run goes on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.types import CellResult
from bench.evaluate.cell import Evaluator
from bench.plan.cells import Cell
from bench.suite.load import load_suite
from tests.evaluate.test_evaluate import evaluator

MODULE = """
import torch

class Model:
    logit_scale = 10.0
    def __init__(self, device, weights, cache=None):
        self.weight = torch.load(weights)
        if cache:
            open(cache + "/notes.txt", "w").close()
    def encode_image(self, images):
        return images.mean(dim=(2, 3)) @ self.weight
    def encode_text(self, texts):
        return torch.ones(len(texts), self.weight.shape[1])
"""


def run(evaluate: Evaluator, cells: list[Cell]) -> dict[str, CellResult]:
    return {f"{cell.target} {cell.eps}": evaluate(cell) for cell in cells}


def overwrite(path: Path, content: bytes) -> None:
    """Replace a file's content, at a later time than its last change."""
    then = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(then + 10**9, then + 10**9))


def test_overwritten_weights_fail_the_cells_of_their_model(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "reads_weights.py").write_text(MODULE)
    paths = {name: tmp_path / f"{name}.pt" for name in ("kept", "touched", "changed")}
    for path in paths.values():
        torch.save(torch.ones(3, 4), path)
    models: dict[str, dict[str, Any]] = {
        name: {"kind": "python", "target": "reads_weights:Model", "args": {"weights": str(path)}}
        for name, path in paths.items()
    }
    (tmp_path / "cache").mkdir()
    models["kept"]["args"]["cache"] = str(tmp_path / "cache")  # which it may fill
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 1}]
    path = suite_file(models=models, attacks=attacks, threats=["white-box"], samples=2)
    evaluate, cells = evaluator(load_suite(path), tmp_path, trust=True)
    overwrite(paths["touched"], paths["touched"].read_bytes())
    torch.save(2 * torch.ones(3, 4), tmp_path / "other.pt")
    overwrite(paths["changed"], (tmp_path / "other.pt").read_bytes())
    results = run(evaluate, cells)
    statuses = {name: result.status for name, result in results.items()}
    assert statuses == {
        "kept ": "ok", "kept 1/255": "ok", "touched ": "ok", "touched 1/255": "ok",
        "changed ": "failed", "changed 1/255": "failed",
    }  # fmt: skip
    for name in ("changed ", "changed 1/255"):
        reason = results[name].reason or ""
        assert reason.startswith("models.changed: ") and "changed after the run" in reason


@pytest.mark.parametrize("clean", ["sample", "all"])
def test_overwritten_images_fail_the_cells_of_their_dataset(
    suite_file: Callable[..., Path], dataset: Callable[..., Path], tmp_path: Path, clean: str
) -> None:
    root, other = dataset("set"), dataset("other", classes=2)
    protocol = {"preset": "radapt-paper", "pixels": "native", "clean": clean}
    suite: dict[str, Any] = {
        "models": {"CLIP": {"kind": "nano", "weights": "clip"}},
        "datasets": [{"kind": "webdataset", "name": "set", "path": str(root)}],
        "attacks": [{"kind": "pgd", "eps": "1/255", "steps": 1}],
        "threats": [{"transfer": "CLIP"}],
    }
    path = suite_file(protocol=protocol, samples=4, **suite)
    evaluate, cells = evaluator(load_suite(path), tmp_path)
    overwrite(root / "test" / "1.tar", (other / "test" / "1.tar").read_bytes())
    results = run(evaluate, cells)
    assert {result.status for result in results.values()} == {"failed"}
    for result in results.values():
        reason = result.reason or ""
        assert reason.startswith("datasets.set: ") and "changed after the run" in reason
    assert not list((tmp_path / "crafts").glob("*.safetensors"))


def test_the_first_cell_pays_for_loading_beside_its_own_time(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock on which building a model takes 100 s, and nothing else takes any time."""
    from bench.evaluate import loading, model_cache

    now, build = [0.0], model_cache.build_model

    def slow(*args: Any, **options: Any) -> Any:
        now[0] += 100.0
        return build(*args, **options)

    monkeypatch.setattr(loading.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(model_cache, "build_model", slow)
    models = {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "R": {"kind": "radapt", "base": "CLIP", "anchor": {"white": "CLIP"}, "alpha": 0.5,
              "cutoff": 40},
    }  # fmt: skip
    path = suite_file(models=models, attacks=None, threats=None, samples=2)
    evaluate, cells = evaluator(load_suite(path), tmp_path)
    adapted, base = evaluate(cells[1]), evaluate(cells[0])
    # the adapted model builds its base within its own building, which counts once
    assert (adapted.seconds, adapted.load_seconds) == (0.0, 200.0)
    assert (base.seconds, base.load_seconds) == (0.0, 0.0)
    evaluate.store.put(adapted)
    stored = evaluate.store.get(adapted.cell_id)
    assert stored is not None and stored.load_seconds == 200.0
