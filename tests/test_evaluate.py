"""Cells: crafts made once, verified, and failures that stay their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.evaluate import Evaluator
from bench.lock import resolve
from bench.plan import Cell, expand
from bench.run import run_suite
from bench.store import Store
from bench.suite import Suite, load_suite
from bench.types import CellResult
from tests.test_models import Own

CPU = torch.device("cpu")


def evaluator(suite: Suite, root: Path, **changes: Any) -> tuple[Evaluator, list[Cell]]:
    lock, problems = resolve(suite)
    assert not problems
    store = Store(root, suite.suite)
    return Evaluator(suite, lock, {}, store, CPU, **changes), expand(suite, lock)


def run(suite: Suite, root: Path, **changes: Any) -> dict[str, CellResult]:
    evaluate, cells = evaluator(suite, root, **changes)
    return {cell.id: evaluate(cell) for cell in cells}


def test_every_cell_is_measured_within_its_budget(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    for cell in cells:
        result = evaluate(cell)
        assert result.status == "ok", result.reason
        assert len(result.correct) == len(result.sample_ids) == 16
        limit = cell.budget.eps if cell.attack else 0.0
        assert float(result.distance.max()) <= limit + 1e-6
        assert result.queries > 0


def test_a_craft_is_made_once_and_scored_by_all(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    transfer = [cell for cell in cells if cell.mode == "full" and cell.eps == "1/255"]
    queries = {cell.target: evaluate(cell).queries for cell in transfer}
    assert queries["CLIP"] == 16 * (3 + 1) + 16  # three steps and the last point, then scoring
    assert queries["FARE"] == queries["R-Adapt_CLIP"] == 16
    assert len(list((tmp_path / "crafts").iterdir())) == 1


def test_stored_and_fresh_crafts_score_alike(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    cell = next(cell for cell in cells if cell.mode == "full" and cell.target == "FARE")
    first, second = evaluate(cell), evaluate(cell)
    assert second.queries < first.queries
    assert np.array_equal(first.correct, second.correct)
    assert np.array_equal(first.distance, second.distance)


def test_batch_size_moves_no_number(small: Suite, tmp_path: Path) -> None:
    wide, narrow = run(small, tmp_path / "a"), run(small, tmp_path / "b", batch=5)
    moved = sum(int((wide[key].correct != narrow[key].correct).sum()) for key in wide)
    assert moved <= 1  # of 21 cells of 16 images; numerics may tip an image on the edge


def test_a_success_craft_counts_on_its_own_source_alone(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    for cell in cells:
        evaluate(cell)
    kept = {path.stem for path in (tmp_path / "crafts").iterdir()}
    assert kept == {cell.craft_id for cell in cells if cell.mode == "full"}


class Poisoned(Own):
    """Fine on clean batches of one, NaN afterwards: what a diverged checkpoint gives."""

    def encode_image(self, images: Tensor) -> Tensor:
        return super().encode_image(images) * torch.nan


def test_failures_stay_their_own(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    own = {"kind": "python", "target": "tests.test_evaluate:Poisoned", "args": {"width": 4}}
    suite = load_suite(
        suite_file(
            models={"NaN": own, "CLIP": {"kind": "nano", "weights": "clip"}},
            datasets=[
                "cifar10",
                {"name": "gone", "kind": "webdataset", "path": str(tmp_path / "gone")},
            ],
            attacks=None,
            threats=["white-box"],
        )
    )
    report = run_suite(suite, results=tmp_path / "results", trust=True)
    assert (report.cells, report.failed) == (4, 3)
    from bench import load_results

    frame = load_results(report.folder).set_index(["model", "dataset"])
    assert frame.loc[("CLIP", "cifar10"), "status"] == "ok"
    assert "NaN or infinite for 16 of 16" in frame.loc[("NaN", "cifar10"), "reason"]
    assert "no such dataset folder" in frame.loc[("CLIP", "gone"), "reason"]
    assert frame.loc[("CLIP", "gone"), "value"] != frame.loc[("CLIP", "gone"), "value"]  # NaN
    # failures are tried again, successes are not
    assert run_suite(suite, results=tmp_path / "results", trust=True).computed == 3


def test_a_craft_that_failed_is_not_tried_again_for_each_target(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def no_memory(*args: object, **kwargs: object) -> None:
        tried.append(args)
        raise RuntimeError("out of memory")

    monkeypatch.setattr("bench.evaluate.build_attack", no_memory)
    for run in (1, 2):  # the next run tries again
        evaluate, cells = evaluator(small, tmp_path)
        transfer = [cell for cell in cells if cell.mode == "full" and cell.eps == "1/255"]
        results = [evaluate(cell) for cell in transfer]
        assert len(results) == 3
        assert {result.status for result in results} == {"failed"}
        assert {result.reason for result in results} == {"RuntimeError: out of memory"}
        assert len(tried) == run


def test_rows_say_which_libraries_made_them(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    own = {"kind": "python", "target": "tests.test_models:Own", "args": {"width": 4}}
    attacks = [
        {"kind": "torchattacks", "eps": "1/255", "args": {"steps": 1}},
        {"kind": "pgd", "eps": "1/255", "steps": 1},
    ]
    models = {"CLIP": {"kind": "nano", "weights": "clip"}, "Own": own}
    suite = load_suite(suite_file(models=models, attacks=attacks, threats=["white-box"], samples=2))
    evaluate, cells = evaluator(suite, tmp_path, trust=True)
    libraries = {"open_clip_torch", "torchattacks", "pyautoattack"}
    for cell in cells:
        expected = {"open_clip_torch"} if cell.target == "CLIP" else set()
        expected |= (
            {"torchattacks"} if cell.attack and cell.attack.kind == "torchattacks" else set()
        )
        provenance = evaluate(cell).provenance
        assert provenance.keys() & libraries == expected
        assert all(provenance[name][0].isdigit() for name in expected)


def test_robust_models_hold_where_clip_falls(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    attack = [{"kind": "apgd-ce", "eps": "2/255", "steps": 10}]
    suite = load_suite(suite_file(samples=200, attacks=attack, threats=["white-box"]))
    board = run_suite(suite, results=tmp_path).board.set_index("model")
    assert board.loc["FARE", "worst"] > board.loc["CLIP", "worst"] + 0.08
    assert board.loc["CLIP", "clean"] > 0.5


@pytest.mark.parametrize("damage", [b"", b"half a fi"])
def test_a_damaged_craft_is_made_again(small: Suite, tmp_path: Path, damage: bytes) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    cell = next(cell for cell in cells if cell.mode == "full")
    first = evaluate(cell)
    path = tmp_path / "crafts" / f"{cell.craft_id}.safetensors"
    path.write_bytes(damage)
    again = evaluate(cell)
    assert again.queries == first.queries
    assert np.array_equal(again.correct, first.correct)
