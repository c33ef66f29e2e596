"""What the tables of speed are made of: medians with intervals, and a page of saved tables."""

from pathlib import Path

import pytest

from bench.core.resolved_names import Lock
from bench.plan.cells import expand
from bench.suite.load import Suite
from tests.perf import load, page
from tests.perf.pairs import in_turn, ratio, spread


@pytest.mark.parametrize(
    ("count", "low", "high"), [(1, 1, 1), (5, 1, 5), (6, 1, 6), (20, 6, 15), (25, 8, 18)]
)
def test_intervals_are_those_of_the_sign_test(count: int, low: int, high: int) -> None:
    """From tables of the binomial: with 20 values, the 6th and the 15th."""
    found = spread(list(range(count, 0, -1)))
    assert (found.low, found.middle, found.high) == (low, (count + 1) / 2, high)


def test_ratios_are_taken_within_rounds() -> None:
    """A machine that slows down tenfold half way changes no ratio."""
    assert (
        ratio([1.1, 2.2, 11.0, 22.0], [1.0, 2.0, 10.0, 20.0]).text(".2f") == "1.10 (1.10 to 1.10)"
    )


def test_works_take_turns() -> None:
    calls: list[str] = []
    seconds = in_turn(2, lambda: calls.append("a"), lambda: calls.append("b"))
    assert "".join(calls) == "ab" + "ab" + "ba"
    assert [len(each) for each in seconds] == [2, 2]


def test_the_suite_of_cheap_cells_has_as_many_as_the_page_says() -> None:
    suite = Suite.model_validate(load.SUITE)
    cells = expand(suite, Lock())
    assert len(cells) == 2050
    rows = {(cell.target, cell.threat) for cell in cells if cell.threat}
    assert len(rows) == 2000


def test_the_page_shows_the_main_columns_of_the_tables_that_were_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "perf.md")
    where = '"1 thread, no GPU"'
    (tmp_path / "speed-adapting.csv").write_text(
        f"tower,pass,batch,pairs,adapted / bare,where\nViT-B-32,forward,4,25,1.017,{where}\n"
    )
    text = page.write(tmp_path).read_text()
    head = "| tower | pass | adapted / bare |\n|---|---|---|\n"
    assert f"{head}| ViT-B-32 | forward | 1.017 |\n" in text
    assert "[All columns](data/speed-adapting.csv)" in text
    assert "Measured on: 1 thread, no GPU (" in text
    assert "No figure on this page was measured on a GPU" in text
    assert "## Growth" not in text
    columns = "images,seconds,ms an image,peak MB,where"
    (tmp_path / "speed-growth.csv").write_text(f"{columns}\n500,1,2,3,one H100\n")
    assert "No figure on this page" not in page.write(tmp_path).read_text()


def test_the_page_is_that_of_the_committed_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = page.PAGE.read_text()
    monkeypatch.setattr(page, "PAGE", tmp_path / "perf.md")
    assert page.write(page.FOLDER).read_text() == committed
