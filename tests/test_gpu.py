"""The GPU's campaign runs in small on any machine, goes on after errors, and can be resumed."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gpu import __main__ as command
from tests.gpu import page, parts
from tests.gpu.saved import Saved, file_of, read
from tests.gpu.scale import Row, Scale

Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run the command in this process, parts included, and without its own page."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["gpu", *arguments])
        return command.main()

    def in_process(given: list[str], seconds: float) -> str:
        return "failed" if run(*given) else ""

    monkeypatch.setattr(command, "in_process", in_process)
    return lambda *arguments: run("--out", str(tmp_path), *arguments)


def test_each_part_runs_in_small(call: Call, tmp_path: Path) -> None:
    assert list(parts.PARTS) == list(page.PARTS)
    assert call("--small") == 0
    saved = [read(tmp_path, name, small=True) for name in page.PARTS]
    shown = page.write([each for each in saved if each], tmp_path / "gpu.md", tmp_path).read_text()
    for each in saved:
        assert each and each.rows and not each.error
        columns = {column for row in each.rows for column in row}
        assert columns >= set(page.PARTS[each.part].columns), each.part
        assert page.PARTS[each.part].title in shown
    by_name = {each.part: each.rows for each in saved if each}
    assert {row["other outcomes"] for row in by_name["devices"]} == {0}
    assert {row["different"] for row in by_name["again"]} == {0}
    attacked = by_name["out_of_memory"][0]
    assert (attacked["batch at first"], attacked["batch at last"]) == (4, 2)
    assert attacked["largest difference"] == pytest.approx(0, abs=1e-5)
    steps = [row for row in by_name["memory"] if "CLIP" in str(row["model"])]
    assert all(0.9 < float(str(row["measured / estimate"])) < 1.5 for row in steps)


def test_parts_that_are_not_finished_run_again_and_others_go_on(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    broken = ["devices"]

    def part(name: str) -> Callable[[Scale], Iterator[Row]]:
        def rows(scale: Scale) -> Iterator[Row]:
            begun.append(name)
            yield {"what": name}
            if name in broken:
                raise ValueError("no such kernel")

        return rows

    names = ("rates", "devices", "again")
    monkeypatch.setattr(parts, "PARTS", {name: part(name) for name in names})
    chosen = ("--small", "--only", *names)
    assert call(*chosen) == 1
    failed = read(tmp_path, "devices", small=True)
    assert failed and failed.rows and failed.error == "ValueError: no such kernel"
    file_of(tmp_path, "again").unlink()
    begun.clear()
    broken.clear()
    assert call(*chosen) == 0
    assert begun == ["again", "devices"]  # what never ran comes first; `rates` is finished
    assert read(tmp_path, "rates", small=False) is None  # a small run counts in small only


def test_a_part_whose_time_is_up_keeps_its_rows(call: Call, tmp_path: Path) -> None:
    Saved("rates", True, "here", [{"model": "CLIP"}]).put(tmp_path)
    assert call("--small", "--only", "rates", "--minutes", "0") == 1
    kept = read(tmp_path, "rates", small=True)
    assert kept and kept.rows == [{"model": "CLIP"}]
    shown = page.write([kept], tmp_path / "gpu.md", tmp_path).read_text()
    assert "**Not finished:** ended without a message" in shown
    assert "Measured on: here." in shown


def test_the_committed_page_has_no_figures(tmp_path: Path) -> None:
    """When a GPU has been seen, the page is that of its run, and this test goes."""
    assert page.write([], tmp_path / "gpu.md", tmp_path).read_text() == page.PAGE.read_text()
