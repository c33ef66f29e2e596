"""The tables that are written while a run goes on."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.core.errors import DiskFull
from bench.report.export import export
from bench.run import live_tables
from bench.run.suite_run import run_suite
from bench.store.snapshot import Results
from bench.suite.load import load_suite


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tables written after every cell."""
    monkeypatch.setattr(live_tables, "_FIRST", 0.0)
    monkeypatch.setattr(live_tables, "_EVERY", 0.0)
    monkeypatch.setattr(live_tables, "_SHARE", 1e12)


def test_first_numbers_of_all_models_come_first_and_the_page_says_how_much_is_in(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite(suite_file(samples=2))
    pages, boards = [], []

    def recorded(results: Results) -> None:
        export(results)
        pages.append((tmp_path / "small" / "leaderboard.html").read_text("utf-8"))
        boards.append((tmp_path / "small" / "leaderboard.csv").read_text("utf-8"))

    monkeypatch.setattr(live_tables, "export", recorded)
    run_suite(suite, results=tmp_path, device="cpu", check=False)
    assert len(pages) == 21
    for count, page in enumerate(pages[:-1], 1):
        assert f"<b>{21 - count} of 21 cells have no number yet.</b>" in page
    assert "no number yet" not in pages[-1]
    early = pd.read_csv(io.StringIO(boards[2 * len(suite.models) - 1]))
    first = suite.attacks[0].column(suite.attacks[0].eps[0])
    white_box = early[early.threat == "white-box"]
    assert white_box[["clean", first]].notna().all(axis=None)
    assert white_box.filter(regex="@(?!.* ci_)").drop(columns=first).isna().all(axis=None)


def test_a_run_goes_on_if_its_tables_cannot_be_written(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(results: Results) -> None:
        raise DiskFull("no room")

    monkeypatch.setattr(live_tables, "export", full)
    suite = suite_file(samples=2, models={"CLIP": {"kind": "nano", "weights": "clip"}})
    report = run_suite(suite, results=tmp_path, device="cpu", check=False)
    assert (report.computed, report.failed) == (report.cells, 0)
    assert (tmp_path / "small" / "leaderboard.html").exists()
