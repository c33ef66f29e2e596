"""What a run shows, on a terminal and without one."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.results.number_format import PERCENT
from bench.run.console.board import Progression, board
from bench.run.console.closing_table import print_leaderboard
from bench.run.jobs import Job
from bench.run.progress import Doing, Examining, Progress
from bench.suite.load import Suite
from tests.run.test_terminal_table import Screen

ROOT = Path(__file__).parents[2]


def shown(progress: Progress, at: float, width: int = 120) -> list[str]:
    with Path(os.devnull).open("w") as nothing:
        console = Console(width=width, force_terminal=True, color_system=None, file=nothing)
        with console.capture() as capture:
            console.print(board(progress, at))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_several_workers_have_a_line_each() -> None:
    progress = Progress(
        slots=11, cells=40, jobs=40, done=10, images=5000, left=(60.0, 5.0), retries=2,
        where={"10": "c", "1": "b", "0": "a"},
        doing={"0": Doing("A · cifar10 · clean", 8.0, 30.0), "10": Doing("[B]", 1.0, None)},
    )  # fmt: skip
    first, *workers = shown(progress, 10.0)
    assert first.endswith("10/40 0:00:10 500 images/s, 55 s left, 2 tried again")
    assert [line.split(maxsplit=1) for line in workers] == [
        ["0", "A · cifar10 · clean, 2 s of about 30 s"], ["1", "idle"], ["10", "[B], 9 s"]
    ]  # fmt: skip
    assert max(map(len, shown(progress, 10.0, 40))) <= 40


def test_one_worker_and_the_newest_numbers_fit_into_a_narrow_terminal() -> None:
    doing = {"0": Doing("A · cifar10 · clean", 8.0, 30.0)}
    recent = (("A · digits · clean", "100.0 %"), ("[B] · digits · clean", "4.2 %"))
    progress = Progress(
        slots=1, jobs=40, done=10, images=5000, where={"0": "a"}, doing=doing, recent=recent
    )
    total, worker, *numbers = shown(progress, 10.0, 50)
    assert total.endswith(" 10/40 0:00:10 500 images/s")
    assert worker == "A · cifar10 · clean, 2 s of about 30 s"
    assert numbers == ["100.0 % A · digits · clean", "  4.2 % [B] · digits · clean"]


def test_an_examination_shows_its_check_and_its_limit() -> None:
    doing = Examining(9, 40.0, 100.0, "FARE x cifar10: square", 12, 261)
    assert shown(Progress(examining=doing), 115.0) == [
        "examining FARE x cifar10: square, 12 of 261 checks done, 15 s of 40 s at most"
    ]


@pytest.mark.parametrize("name", ["[/x]", r"a\[/b]", "[red]", "[link=x]y"])
def test_names_are_no_markup(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame(
        [{"threat": "transfer", "source": name, "model": name, f"{name}@1/255": 0.5, "flags": name}]
    )
    print_leaderboard(table, name, PERCENT)
    title, *rest = capsys.readouterr().out.splitlines()
    assert title.strip() == f"{name}: transfer from {name}"
    text = "\n".join(rest)
    assert f"{name}@1/255" in text
    assert text.count(name) == 3


def test_a_long_leaderboard_names_the_file_that_has_all_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {"threat": "white-box", "source": "", "flags": ""}
    table = pd.DataFrame([{**row, "model": f"model {place}"} for place in range(1001)])
    print_leaderboard(table, "long", PERCENT)
    *rows, last = capsys.readouterr().out.splitlines()
    assert sum("│ model" in line for line in rows) == 200
    assert last == "200 of 1,001 rows; all of them are in leaderboard.csv"


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_gets_every_number_in_several_tables(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ["clean", *(f"{a}@{eps}" for eps in ("1/255", "4/255") for a in ("pgd", "apgd-ce"))]
    columns += ["pgd@1/255 R@5", "clean R@5", "worst"]
    values = {
        (model, column): (20 * place + other + 1) / 1000
        for place, model in enumerate(("CLIP", "R-Adapt_TeCoA"))
        for other, column in enumerate(columns)
    }
    rows = [
        {"rank": 1, "model": model, "threat": "white-box", "source": ""}
        | {column: values[model, column] for column in columns}
        | {"n": 400, "flags": "untrusted=square" if model == "CLIP" else ""}
        for model in ("CLIP", "R-Adapt_TeCoA")
    ]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    print_leaderboard(pd.DataFrame(rows), "narrow", PERCENT)
    text = re.sub("\x1b\\[[0-9;]*m", "", screen.getvalue())
    tables = text[: text.index("Models share")].splitlines()
    assert max(map(len, tables)) <= width
    cells = [
        part.strip() for line in tables for part in line.split("\N{BOX DRAWINGS LIGHT VERTICAL}")
    ]
    assert {PERCENT.text(value) for value in values.values()} <= {*cells}  # none is folded
    assert {"narrow: white-box", "white-box at 4/255", "untrusted=square"} <= {*cells}


def test_of_a_wide_table_few_rows_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [f"pgd-{place}@4/255" for place in range(300)]
    rows = [
        {"rank": 1, "model": f"m{place}", "threat": "white-box", "source": "", "clean": 0.5}
        | dict.fromkeys(columns, 0.1)
        | {"worst": 0.1, "n": 400, "flags": ""}
        for place in range(50)
    ]
    print_leaderboard(pd.DataFrame(rows), "wide", PERCENT)
    text = capsys.readouterr().out
    assert "25 of 50 rows; all of them are in leaderboard.csv" in text
    assert "m24 " in text
    assert "m25 " not in text


def play(cells: list[Cell]) -> None:
    """A run of two workers where something of everything goes wrong."""
    jobs = [Job(cell.id, cell) for cell in cells[1:5]]
    ones = np.ones(8, np.float32)

    def result(job: Job, status: str, reason: str | None = None) -> CellResult:
        correct = np.arange(8) < 7
        return CellResult(job.cell.id, status, correct, (), ones, 1.0, 10, {}, reason)  # type: ignore[arg-type]

    shows = Progression(Path("page.html"))
    shows.begin(cells, jobs, 2)
    for slot in "01":
        shows.opened(slot, "here")
        shows.starting(slot, jobs[int(slot)], 5.0)
    shows.board.refresh()
    shows.finished("0", jobs[0], result(jobs[0], "ok"), 10.0)
    shows.again("1", jobs[1], "out of memory", 3.0)
    shows.lost("1", "signal 9")
    shows.finished("0", jobs[2], result(jobs[2], "failed", "no [such] folder"), 5.0)
    for job in jobs[1], jobs[3]:
        shows.finished("0", job, result(job, "ok"), 0.0)
    shows.examining(1, 40.0)
    shows.started -= 20  # seconds
    shows.checking("CLIP", "cifar10", "square", 3, 29)
    shows.board.refresh()
    shows.ended("done")
    shows.close()


def test_without_a_terminal_there_are_lines(
    small: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    play(expand(small, Lock()))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "21 cells, 17 done before, 4 to compute"
    assert lines.pop(1) == "page.html shows the numbers as they come in"
    assert lines[1].startswith("1/4  CLIP · cifar10 · pgd 1/255 white-box  87.5 %  ")
    assert lines[2] == "retry in 3 s: CLIP · cifar10 · pgd 2/255 white-box: out of memory"
    assert lines[3] == "lost worker 1: signal 9"
    assert lines[4].startswith("failed: CLIP · cifar10 · apgd-ce 2/255 white-box: no [such] folder")
    assert lines[5].startswith("4/4  ")
    assert lines[5].endswith("1 failed, 1 tried again, 1 lost")
    assert lines[6] == "examining 1 robust number, for 40 s at most"
    assert lines[7].startswith("examining CLIP x cifar10: square, 3 of 29 checks done, ")
    assert len(lines) == 8


def test_on_a_terminal_the_board_leaves_only_what_went_wrong(tmp_path: Path) -> None:
    code = (
        "import sys; from bench.plan.identity import Lock; from bench.plan.cells import expand; "
        "from bench.suite.load import load_suite; "
        "from tests.run.test_console import play; "
        "play(expand(load_suite('suites/quickstart.yaml'), Lock()))"
    )
    outer, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=inner, cwd=ROOT, env=environment
    ) as run:
        os.close(inner)
        text = ""
        while True:
            try:
                data = os.read(outer, 65536)
            except OSError:  # the other side is closed
                break
            text += data.decode(errors="replace")
            if not data:
                break
    os.close(outer)
    assert run.returncode == 0
    assert "0/4 0:00:0" in text
    assert "white-box, 0 s of about 5 s" in text
    assert "87.5 %" in text
    assert "examining CLIP x cifar10: square, 3 of 29 checks done, " in text
    for line in ("lost worker 1: signal 9", "no [such] folder", "retry in 3 s"):
        assert line in text
    assert "\x1b[?25l" in text  # the cursor is hidden while the board is there
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
