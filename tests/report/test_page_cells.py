"""The parts of the page as files, and the cells that the page lists."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.report.export import export, html_page, page_parts
from bench.report.export.leaderboard_values import Row
from bench.report.export.page_parts import PARTS, PageCells
from bench.stats import Interval
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from tests.report.test_page import NAMES, SUITE
from tests.report.test_page_parts import in_parts


def parts_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / PARTS).iterdir()}


@pytest.mark.parametrize(("columns", "lines"), [(5, 200), (40, 200), (402, 19), (5000, 10)])
def test_lines_drawn_at_once_fall_with_the_number_of_columns(columns: int, lines: int) -> None:
    assert html_page._lines_at_once(columns) == lines


def test_the_best_number_of_any_dataset_ends_the_colours_of_the_heat_map() -> None:
    def row(value: float) -> Row:
        rates = {"clean": Interval(value, 0, 9), "worst": None}
        return Row(None, "Plain", "", "", rates, 40, (), {})

    boards = {"": (row(0.75),), "cifar10": (row(0.2500001),), "digits": (row(1.2500001),)}
    assert html_page._highest(boards) == 1.25
    assert html_page._highest({"": ()}) == 0


def test_parts_of_an_earlier_export_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(tmp_path)
    store = Store(tmp_path, SUITE.suite)
    names = parts_of(store.folder)
    indices = range(len(NAMES))
    assert names == {"dataset-0.js", "dataset-1.js"} | {
        f"{kind}-{place}.js" for kind in ("cells", "model") for place in indices
    }
    (store.folder / PARTS / "cells-99.js").touch()
    monkeypatch.setattr(page_parts, "_MOST_INLINE", 10)
    export(read_results(SUITE, store))
    assert parts_of(store.folder) == names
    monkeypatch.undo()
    export(read_results(SUITE, store))
    assert not (store.folder / PARTS).exists()


def test_what_others_put_beside_the_parts_is_kept(tmp_path: Path) -> None:
    in_parts(tmp_path)
    store = Store(tmp_path, SUITE.suite)
    (store.folder / PARTS / "notes.js").touch()
    export(read_results(SUITE, store))
    assert parts_of(store.folder) == {"notes.js"}


ROW: Mapping[str, Any] = {
    **{"model": NAMES[0], "dataset": "cifar10", "threat": "", "source": "", "attack": "clean"},
    **{"norm": "", "eps": "", "metric": "accuracy", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6},
    **{"n": 40, "seed": None, "status": "ok", "reason": "", "flags": "", "cell_id": "0a"},
}


def test_a_large_suite_lists_its_first_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_parts, "_MOST_FAILURES", 3)
    failed = {**ROW, "status": "failed", "reason": "x", "value": float("nan")}
    for planned, listed in ((page_parts._MOST_INLINE, 7), (page_parts._MOST_INLINE + 1, 3)):
        cells = PageCells(SUITE, [], planned, tmp_path)
        for _ in range(7):
            cells.add(failed)
        cells.add(ROW)
        found = cells.finish()
        assert (found.count, found.failed, len(found.failures)) == (8, 7, listed)


def test_the_cells_of_a_model_follow_each_other(tmp_path: Path) -> None:
    cells = PageCells(SUITE, [], 10**6, tmp_path)
    cells.add(ROW)
    cells.add({**ROW, "model": "Strong"})
    with pytest.raises(ValueError, match="'Plain' do not follow each other"):
        cells.add(ROW)
