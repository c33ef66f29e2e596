"""Cells that stop when their number is precise enough."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from bench import load_results
from bench.core.errors import SuiteError
from bench.core.types import ANYTIME
from bench.plan.cells import Cell
from bench.report.export.adversarial_files import write_adversarial
from bench.run.suite_run import run_suite
from bench.stats import anytime_interval
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite, load_suite

MODELS = {name: {"kind": "nano", "weights": name.lower()} for name in ("CLIP", "FARE")}
ATTACK = {"kind": "pgd", "eps": ["1/255", "4/255"], "steps": 2}


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch, suite_file: Callable[..., Path]) -> Any:
    """Return a maker of suites of parts of 8 images that stop at a width."""
    monkeypatch.setattr("bench.plan.shards.PART", 8)

    def make(width: float, **changes: Any) -> Suite:
        samples = {"most": 44, "until": {"width": width}}
        entries = {"samples": samples, "attacks": [ATTACK], "models": MODELS, **changes}
        return load_suite(suite_file(**entries))

    return make


def attacked(suite: Suite, root: Path) -> list[tuple[Cell, Any]]:
    stored = read_results(suite, Store(root, suite.suite))
    return [(cell, result) for cell, result in stored.cells_with_results if cell.attack]


def test_a_cell_stops_at_the_first_part_at_which_it_is_narrow(
    stopping: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, made = tmp_path / "results", Counter[str]()
    put = Store.put_part

    def counted(self: Store, cell_id: str, part: str, result: Any) -> None:
        made[f"{cell_id}.{part}"] += 1
        put(self, cell_id, part, result)

    monkeypatch.setattr(Store, "put_part", counted)
    loose = stopping(0.5)
    run_suite(loose, results=root, device="cpu", batch=8)
    first = attacked(loose, root)
    order = Store(root, "small").lock().datasets["cifar10"].sample_ids
    assert list(order) != sorted(order)
    for cell, result in first:
        n = len(result.correct)
        assert result.sample_ids == order[:n]
        assert ANYTIME in result.flags
        for end in range(8, n + 1, 8):
            low, high = anytime_interval(int(result.correct[:end].sum()), end)
            assert (high - low <= 0.5) == (end == n), cell
    counts = {len(result.correct) for _, result in first}
    assert len(counts) > 1  # so models are ranked on the images that both have
    rows = load_results(root / "small")
    rows = rows[rows["attack"] != "clean"]
    assert rows["flags"].str.contains(ANYTIME).all()
    assert rows["n"].tolist() == [len(result.correct) for _, result in first]
    for row in rows.itertuples():
        assert (row.ci_low, row.ci_high) == pytest.approx(
            anytime_interval(round(row.value * row.n), row.n), abs=1e-6
        )

    strict = stopping(0.25)  # goes on: no part is attacked again, and outcomes stay
    run_suite(strict, results=root, device="cpu", batch=8)
    assert set(made.values()) == {1}
    for (cell, before), (after_cell, after) in zip(first, attacked(strict, root), strict=True):
        assert cell.id != after_cell.id
        assert cell.craft_id == after_cell.craft_id
        n = len(before.correct)
        assert len(after.correct) > n or n == 44
        assert np.array_equal(after.correct[:n], before.correct)


def test_images_of_cells_that_stopped_are_written_as_far_as_a_cell_used_them(
    stopping: Any, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    loose = stopping(0.5, threats=[{"transfer": "CLIP"}], attacks=[{**ATTACK, "eps": "1/255"}])
    run_suite(loose, results=root, device="cpu", batch=8)
    longest = max((result.sample_ids for _, result in attacked(loose, root)), key=len)
    assert len(longest) < 44
    (path,) = write_adversarial(read_results(loose, Store(root, "small")), tmp_path / "ours")
    with safe_open(path, "np") as file:
        assert tuple(json.loads(file.metadata()["ids"])) == longest
        assert len(file.get_tensor("images")) == len(longest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": [{**ATTACK, "nested": True}]}, r"attacks\.0\.nested: got true; allowed with"),
        ({"seeds": [0, 1]}, "seeds: got 2 seeds; allowed with `samples.until`: one"),
        ({"samples": {"most": 9, "until": {"width": 0}}}, r"\n  samples\.until\.width: got 0"),
    ],
)
def test_what_cannot_stop_is_refused(
    suite_file: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    samples = {"most": 44, "until": {"width": 0.5}}
    with pytest.raises(SuiteError, match=message):
        load_suite(suite_file(**{"samples": samples, **changes}))
