"""Parts of a cell: kept as they are done, joined to what one run through would have given."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.core.types import CellResult
from bench.plan.identity import attack_identity
from bench.plan.shards import parts_of
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from bench.suite.specs import Ensemble, Pgd, PyAutoAttack
from tests.evaluate.test_evaluate import evaluator
from tests.models.test_models import Own
from tests.support.clock import CLOCK, Clock

ATTACKS = [
    {"kind": "apgd-ce", "eps": ["1/255", "2/255"], "steps": 3, "nested": True},
    {"kind": "torchattacks", "eps": "1/255", "args": {"steps": 2}, "chunk": 3},
]


@pytest.fixture
def parted(suite_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Sixteen images in parts of five, or of six where chunks have three."""
    monkeypatch.setattr("bench.plan.shards.PART", 5)
    return load_suite(suite_file(attacks=ATTACKS))


def values(results: dict[str, CellResult]) -> dict[str, tuple[Any, ...]]:
    return {
        key: (r.status, r.correct.tolist(), r.sample_ids, r.queries, r.flags)
        for key, r in results.items()
    }


def test_parts_hold_whole_chunks() -> None:
    pgd = Pgd(kind="pgd", eps=("1/255",))
    official = PyAutoAttack(kind="pyautoattack", eps=("1/255",), chunk=100)
    assert parts_of(pgd, 600) == [range(0, 256), range(256, 512), range(512, 600)]
    assert parts_of(official, 600) == [range(0, 300), range(300, 600)]
    assert parts_of(pgd, 256) == [range(0, 256)]
    mixed = Ensemble(kind="ensemble", attacks=(pgd, official), eps=("1/255",))
    assert "parts" in attack_identity(mixed)
    assert "parts" not in attack_identity(pgd) | attack_identity(official)


def test_a_cell_that_is_broken_off_goes_on_where_it_was(parted: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(parted, tmp_path / "a")
    through = {}
    for cell in cells:
        through[cell.id] = evaluate(cell)
        evaluate.store.put(through[cell.id])
    evaluate, cells = evaluator(parted, tmp_path / "b")
    store, broken = evaluate.store, {}
    for cell in cells:
        parts = parts_of(cell.attack, 16) if cell.attack else []
        for index in range(1, len(parts)):  # all but the first, as another worker would
            assert evaluate(cell, index).status == "ok"
        made = kept_files(tmp_path / "b")
        broken[cell.id] = evaluate(cell)
        left = kept_files(tmp_path / "b") - made
        if cell.attack and (cell.mode == "success" or cell.target == "CLIP"):
            assert len(left) == 1  # the first alone
        store.put(broken[cell.id])
        assert not (store.folder / "parts" / cell.id).exists()
    assert values(broken) == values(through)
    assert all(result.status == "ok" for result in through.values())


def kept_files(root: Path) -> set[Path]:
    return {*root.glob("*/parts/*/*.json"), *root.glob("crafts/*.safetensors")}


def test_a_damaged_part_is_made_again(parted: Suite, tmp_path: Path) -> None:
    evaluate, cells = evaluator(parted, tmp_path)
    cell = next(cell for cell in cells if cell.mode == "success" and cell.attack)
    first = evaluate(cell)
    kept = sorted(tmp_path.glob(f"*/parts/{cell.id}/*.json"))
    assert len(kept) == 4
    kept[1].write_text(kept[1].read_text()[:-30])
    again = evaluate(cell)
    assert np.array_equal(again.correct, first.correct)
    assert again.queries == first.queries


class Slow(Own):
    """Takes a second for each answer, by the clock that tests move."""

    def encode_image(self, images: Tensor) -> Tensor:
        CLOCK.sleep(1.0)
        return super().encode_image(images)


def own(name: str, **args: Any) -> dict[str, Any]:
    return {
        "kind": "python",
        "target": f"tests.plan.test_shards:{name}",
        "args": {"width": 4, **args},
    }


def test_a_time_limit_ends_a_cell_and_keeps_its_parts(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr("bench.plan.shards.PART", 4)
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 3}]
    suite = load_suite(
        suite_file(models={"M": own("Slow")}, attacks=attacks, threats=["white-box"])
    )
    evaluate, cells = evaluator(suite, tmp_path, trust=True, limit=10)
    cell = next(cell for cell in cells if cell.attack)
    result = evaluate(cell)
    assert (result.status, result.again) == ("failed", False)
    assert "more than the 10 seconds of --limit" in str(result.reason)
    assert clock.now == 11  # ended where it was first looked at the clock after 10 seconds
    kept = len(list(tmp_path.glob("*/parts/*/*.json")))
    assert 0 < kept < 4
    patient, _ = evaluator(suite, tmp_path, trust=True)
    assert patient(cell).status == "ok"


class Heavy(Own):
    """Has no room for texts the first time, whoever asks."""

    room = False

    def encode_text(self, texts: list[str]) -> Tensor:
        if not Heavy.room:
            Heavy.room = True
            raise torch.OutOfMemoryError("no room")
        return super().encode_text(texts)


def test_memory_that_ends_outside_of_attacks_is_tried_again_on_less(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heavy, "room", False)
    suite = load_suite(suite_file(models={"M": own("Heavy")}, attacks=None, threats=None))
    evaluate, (cell,) = evaluator(suite, tmp_path, trust=True, batch=8)
    first = evaluate(cell)
    assert (first.status, first.again) == ("failed", True)
    second = evaluate(cell)
    assert (second.status, second.provenance["batch"]) == ("ok", 4)


class Tight(Heavy):
    """Has no room for a single image, the first time that it sees one alone."""

    def encode_image(self, images: Tensor) -> Tensor:
        if len(images) == 1 and not Heavy.room:
            Heavy.room = True
            raise torch.OutOfMemoryError("no room")
        return super().encode_image(images)

    def encode_text(self, texts: list[str]) -> Tensor:
        return Own.encode_text(self, texts)


def test_a_single_image_may_fit_once_memory_is_let_go_of(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heavy, "room", False)
    # the probe of a user's model would meet the single image first
    monkeypatch.setattr("bench.evaluate.model_cache.require_independence", lambda *given: None)
    suite = load_suite(suite_file(models={"M": own("Tight")}, attacks=None, threats=None))
    evaluate, (cell,) = evaluator(suite, tmp_path, trust=True, batch=1)
    first = evaluate(cell)
    assert (first.status, first.again) == ("failed", True)
    assert "a single image does not fit" in (first.reason or "")
    assert evaluate(cell).status == "ok"


def test_two_runs_of_different_suites_make_a_shared_craft_once(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.evaluate import craft as crafting

    build, enter, made = crafting.build_attack, Store.crafting, []
    both = Barrier(2, timeout=600)

    def noted(*args: Any, **options: Any) -> Any:
        made.append(args)
        return build(*args, **options)

    @contextmanager
    def together(store: Store, key: str, patient: Callable[[], None]) -> Iterator[None]:
        both.wait()  # neither found the craft in the store, and both want to make it
        with enter(store, key, patient):
            yield

    monkeypatch.setattr(crafting, "build_attack", noted)
    monkeypatch.setattr(Store, "crafting", together)
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 1}]
    changes: dict[str, Any] = {"attacks": attacks, "threats": [{"transfer": "CLIP"}], "samples": 4}
    suites = [load_suite(suite_file(suite=name, **changes)) for name in ("one", "two")]
    runs = [evaluator(suite, tmp_path) for suite in suites]
    with ThreadPoolExecutor(2) as pool:  # as two processes would, each with locks of its own
        found = list(
            pool.map(
                lambda run: {cell.id: run[0](cell) for cell in run[1] if cell.target == "FARE"},
                runs,
            )
        )
    assert len(made) == 1
    assert values(found[0]) == values(found[1])
    assert {result.status for result in found[0].values()} == {"ok"}
