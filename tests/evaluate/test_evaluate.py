"""Cells: crafts made once, verified, and failures that stay their own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from bench import load_results
from bench.core.errors import CellError
from bench.core.types import CellResult
from bench.evaluate.cell import Evaluator
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.run.suite_run import run_suite
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from tests.models.test_models import Own
from tests.support.stored_cells import is_finished

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
    assert len(list((tmp_path / "crafts").glob("*.safetensors"))) == 1


def test_stored_and_fresh_crafts_score_alike(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    cell = next(cell for cell in cells if cell.mode == "full" and cell.target == "FARE")
    first, second = evaluate(cell), evaluate(cell)
    assert second.queries == first.queries  # what the number took, whoever made the craft
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
    kept = {path.name for path in (tmp_path / "crafts").glob("*.safetensors")}
    assert kept == {f"{cell.craft_id}.0000000.safetensors" for cell in cells if cell.mode == "full"}


class Poisoned(Own):
    """Fine on clean batches of one, NaN afterwards: what a diverged checkpoint gives."""

    def encode_image(self, images: Tensor) -> Tensor:
        return super().encode_image(images) * torch.nan


def test_failures_stay_their_own(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    own = {
        "kind": "python",
        "target": "tests.evaluate.test_evaluate:Poisoned",
        "args": {"width": 4},
    }
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

    def broken(*args: object, **kwargs: object) -> None:
        tried.append(args)
        raise RuntimeError("no such\r \x1b[1mkernel")

    monkeypatch.setattr("bench.evaluate.craft.build_attack", broken)
    for run in (1, 2):  # the next run tries again
        evaluate, cells = evaluator(small, tmp_path)
        transfer = [cell for cell in cells if cell.mode == "full" and cell.eps == "1/255"]
        results = [evaluate(cell) for cell in transfer]
        assert len(results) == 3
        assert {result.status for result in results} == {"failed"}
        assert {result.reason for result in results} == {
            "RuntimeError: no such\ufffd \ufffd[1mkernel"
        }
        assert len(tried) == run


def test_rows_say_which_libraries_made_them(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    own = {"kind": "python", "target": "tests.models.test_models:Own", "args": {"width": 4}}
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
    path = tmp_path / "crafts" / f"{cell.craft_id}.0000000.safetensors"
    path.write_bytes(damage)
    again = evaluate(cell)
    assert again.queries == first.queries
    assert np.array_equal(again.correct, first.correct)


def test_costs_are_counted_in_both_directions(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    results = {cell.id: evaluate(cell) for cell in cells if cell.eps == "1/255"}
    full = next(cell for cell in cells if cell.mode == "full" and cell.target == "CLIP")
    assert results[full.id].provenance["backwards"] == 16 * 3
    for cell in cells:
        if cell.id in results and cell.mode == "success":
            assert 0 < int(results[cell.id].provenance["backwards"]) <= 16 * 3


def test_adapted_models_share_their_base_s_head(small: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(small, tmp_path)
    heads = {
        cell.target: evaluate._cache.classifier(cell.target, cell.dataset).head for cell in cells
    }
    assert heads["R-Adapt_CLIP"] is heads["CLIP"]
    assert heads["FARE"] is not heads["CLIP"]  # loaded on its own


NESTED = [{"kind": "apgd-ce", "eps": ["2/255", "1/255"], "steps": 5, "nested": True}]


def test_what_a_smaller_budget_broke_is_not_attacked_again(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    plain = [{**NESTED[0], "nested": False}]
    suites = [load_suite(suite_file(attacks=attacks, samples=40)) for attacks in (plain, NESTED)]
    (_, alone), (evaluate, cells) = (evaluator(suite, tmp_path) for suite in suites)
    assert {c.id for c in cells if c.mode == "full" or c.eps != "2/255"} <= {c.id for c in alone}
    store = evaluate.store
    for cell in cells:
        if cell.mode != "success" or not cell.attack:
            continue
        assert (cell.below is None) == (cell.eps == "1/255")  # ascending, whatever the order
        result = evaluate(cell)
        store.put(result)
        if cell.below is None:
            assert result.flags == ()
            continue
        below = store.get(cell.below.id)
        assert below is not None
        assert result.flags == ("nested",)
        assert not (result.correct & ~below.correct).any()
        assert np.array_equal(result.distance[~below.correct], below.distance[~below.correct])
        survivors = int(below.correct.sum())
        # a look at the clean image, five steps and the last point, then the judgement
        assert result.queries <= survivors * (1 + 6 + 1)


def test_a_nested_budget_computes_the_smaller_one_where_it_is_missing(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(attacks=NESTED, threats=["white-box"]))
    evaluate, cells = evaluator(suite, tmp_path / "a")
    ordered = {}
    for cell in cells:
        ordered[cell.id] = evaluate(cell)
        evaluate.store.put(ordered[cell.id])
    evaluate, cells = evaluator(suite, tmp_path / "b")
    larger = next(cell for cell in cells if cell.below)
    result = evaluate(larger)
    assert larger.below is not None
    assert np.array_equal(result.correct, ordered[larger.id].correct)
    assert is_finished(evaluate.store, larger.below.id)


def test_low_precision_breaks_no_less_than_fp32(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    base = {"kind": "apgd-ce", "eps": "2/255", "steps": 3}
    attacks = [
        {**base, "name": "fp32"},
        {**base, "name": "tf32", "precision": "tf32"},
        {**base, "name": "bf16", "precision": "bf16"},
        {**base, "name": "bf16 alone", "precision": "bf16", "confirm": False},
    ]
    models = {"TeCoA": {"kind": "nano", "weights": "tecoa"}}
    threats = ["white-box", {"transfer": "TeCoA"}]
    suite = load_suite(suite_file(models=models, attacks=attacks, threats=threats))
    evaluate, cells = evaluator(suite, tmp_path)
    found = {(c.attack.label, c.mode): evaluate(c) for c in cells if c.attack}
    robust = {
        name: found[name, "success"].correct for name in ("fp32", "tf32", "bf16", "bf16 alone")
    }
    assert 0 < robust["fp32"].sum() < 16
    for name in ("tf32", "bf16"):
        # an image on the edge may fall on either side, since batches differ
        assert int((robust[name] & ~robust["fp32"]).sum()) <= 1
        assert found[name, "success"].flags == ()
        assert found[name, "full"].flags[-1:] == (f"precision={name}",)
    assert found["bf16 alone", "success"].flags == ("precision=bf16",)
    assert not (robust["bf16"] & ~robust["bf16 alone"]).any()


class Brittle(Own):
    """Sees the opposite at low precision: all is wrong there already, and none of it in fp32."""

    def __init__(self, **args: Any) -> None:
        super().__init__(**args)
        self.weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))

    def encode_image(self, images: Tensor) -> Tensor:
        sign = -1 if torch.is_autocast_enabled("cpu") else 1
        return sign * (images - 0.5).mean(dim=(2, 3)) @ self.weight

    def encode_text(self, texts: list[str]) -> Tensor:
        return torch.randn(len(texts), 4, generator=torch.Generator().manual_seed(1))


def test_what_low_precision_alone_gets_wrong_goes_back_to_fp32(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    own = {"kind": "python", "target": "tests.evaluate.test_evaluate:Brittle", "args": {"width": 4}}
    base = {"kind": "pgd", "eps": "4/255", "steps": 5}
    attacks = [
        {**base, "name": "fp32"},
        {**base, "name": "bf16", "precision": "bf16"},
        {**base, "name": "bf16 alone", "precision": "bf16", "confirm": False},
    ]
    suite = load_suite(
        suite_file(models={"M": own}, attacks=attacks, threats=["white-box"], samples=300)
    )
    evaluate, cells = evaluator(suite, tmp_path, trust=True)
    correct = {c.attack.label if c.attack else "clean": evaluate(c).correct for c in cells}
    right = {name: int(found.sum()) for name, found in correct.items()}
    assert 0 < right["fp32"] < right["clean"]
    assert np.array_equal(correct["bf16"], correct["fp32"])
    assert right["bf16 alone"] > right["fp32"]  # it left alone what fp32 gets right


def test_images_are_decoded_once_and_heads_are_made_once(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.evaluate import image_cache
    from bench.tasks import classification

    made: list[str] = []

    def noting(module: ModuleType, name: str) -> Callable[..., Any]:
        original = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            made.append(name)
            return original(*args, **options)

        return call

    for module, name in ((image_cache, "load"), (classification, "zero_shot_head")):
        monkeypatch.setattr(module, name, noting(module, name))
    evaluate, cells = evaluator(small, tmp_path)
    for cell in cells:
        evaluate(cell)
    assert sorted(made) == ["load"] + 2 * ["zero_shot_head"]  # CLIP's is the adapted one's
    assert evaluate._cache.images("cifar10").pixels.dtype == torch.uint8


class Tight(Own):
    """Has room for so many images at once."""

    def __init__(self, room: int, **args: Any) -> None:
        super().__init__(**args)
        self.room = room

    def encode_image(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().encode_image(images)


def test_memory_that_ends_is_no_failure_but_for_adapters(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    own = {"kind": "python", "target": "tests.evaluate.test_evaluate:Tight"}
    models = {
        name: {**own, "args": {"width": 4, "room": room}} for name, room in (("A", 99), ("B", 5))
    }
    attacks = [
        {"kind": "pgd", "eps": "1/255", "steps": 2},
        {"kind": "pyautoattack", "eps": "1/255", "steps": 2, "chunk": 16},
    ]
    suite = load_suite(suite_file(models=models, attacks=attacks, threats=["white-box"]))
    evaluate, cells = evaluator(suite, tmp_path, trust=True)
    found = {(c.target, c.attack.label if c.attack else "clean"): evaluate(c) for c in cells}
    official = next(c for c in cells if c.target == "B" and c.attack and "auto" in c.attack.label)
    name = "pyautoattack-apgd-ce"
    assert found["B", name].again  # other models may have been in the way
    found["B", name] = evaluate(official)
    assert found["A", "pgd"].provenance["batch"] == 128
    assert found["B", "pgd"].provenance["batch"] == 4
    assert np.array_equal(found["A", "pgd"].correct, found["B", "pgd"].correct)
    assert found["B", name].status == "failed"
    assert "chunks of 16 images do not fit" in str(found["B", name].reason)


def test_work_in_parts_moves_no_number(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks = [
        {"kind": "pgd", "eps": "1/255", "steps": 2},
        {"kind": "torchattacks", "eps": "1/255", "args": {"steps": 2}, "chunk": 4},
    ]
    suite = load_suite(suite_file(attacks=attacks))
    whole = run(suite, tmp_path / "a")
    monkeypatch.setattr("bench.plan.shards.PART", 3)
    monkeypatch.setattr("bench.evaluate.cell._AT_ONCE", 3)
    parts = run(suite, tmp_path / "b")
    moved = sum(int((whole[key].correct != parts[key].correct).sum()) for key in whole)
    assert moved <= 1
    for key in whole:
        assert np.abs(whole[key].distance - parts[key].distance).max() < 1e-6


@pytest.mark.parametrize("done", ["before", "meanwhile"])
def test_a_part_of_a_cell_that_is_done_is_not_kept(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    """Idle workers attack parts of a running cell, which may end before they do."""
    monkeypatch.setattr("bench.plan.shards.PART", 8)
    evaluate, cells = evaluator(small, tmp_path)
    cell = next(cell for cell in cells if cell.mode == "success" and cell.attack)
    result, passes = evaluate(cell), []

    def attacked(case: Any, attack: Any, rows: range, after: Any = evaluate._attack) -> Any:
        passes.append(rows)
        if done == "meanwhile":
            evaluate.store.put(result)
        return after(case, attack, rows)

    monkeypatch.setattr(evaluate, "_attack", attacked)
    if done == "before":
        evaluate.store.put(result)
    else:
        shutil.rmtree(evaluate.store.folder / "parts")
    assert evaluate(cell, 1).status == "ok"
    assert passes == ([] if done == "before" else [range(8, 16)])
    assert not list(evaluate.store.folder.glob("parts/*/*"))


def test_clean_accuracy_of_all_images(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.data.tensors._PART", 200
    )  # cifar10 has 500 embedded images: three parts

    def frame(name: str, **changes: Any) -> pd.DataFrame:
        attacks = [{"kind": "pgd", "eps": "1/255", "steps": 1}]
        path = suite_file(**{"attacks": attacks, "threats": ["white-box"], **changes})
        return load_results(run_suite(path, results=tmp_path / name).folder)

    protocol = {"preset": "radapt-paper", "pixels": "native"}
    sample, whole = frame("sample"), frame("whole", protocol={**protocol, "clean": "all"})
    everything = frame("everything", samples=500, attacks=None, threats=None)
    clean, attacked = whole[whole["attack"] == "clean"], whole[whole["attack"] == "pgd"]
    assert set(clean["n"]) == {500}
    assert set(attacked["n"]) == {16}
    assert list(clean["cell_id"]) == list(everything["cell_id"])
    assert list(clean["value"]) == list(everything["value"])
    old = sample[sample["attack"] == "pgd"]
    assert list(old["cell_id"]) == list(attacked["cell_id"])
    assert list(old["value"]) == list(attacked["value"])


def test_what_is_wrong_with_a_whole_set_leaves_attacked_cells_be(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.plan import resolve as lock

    index = lock.index_dataset

    def sample_only(spec: Any, samples: int, seed: int, **order: bool) -> Any:
        if samples > 16:
            raise CellError("shard 7 is missing")
        return index(spec, samples, seed, **order)

    monkeypatch.setattr(lock, "index_dataset", sample_only)
    protocol = {"preset": "radapt-paper", "pixels": "native", "clean": "all"}
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 1}]
    path = suite_file(attacks=attacks, threats=["white-box"], protocol=protocol)
    frame = load_results(run_suite(path, results=tmp_path).folder)
    clean = frame[frame["attack"] == "clean"]
    assert set(clean["reason"]) == {"shard 7 is missing"}
    assert set(frame[frame["attack"] == "pgd"]["status"]) == {"ok"}
