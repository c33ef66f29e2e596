"""Tables as a terminal shows them, and as a pipe gets them."""

import io
import re
import sys

import pytest

from bench.run.console.terminal_table import print_table

HEAD = ("model", "value", "")
ROWS = [("x" * 70, "1.5", "a note of several words"), ("y", "10.25", "")]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_whole_lines_of_any_length_without_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(HEAD, [*ROWS, ("[red]z\x1b[31m", "", "z" * 300)], numbers=["value"])
    assert capsys.readouterr().out.splitlines() == [
        "model" + " " * 65 + "  value",
        "x" * 70 + "    1.5  a note of several words",
        "y" + " " * 69 + "  10.25",
        "[red]z\N{REPLACEMENT CHARACTER}[31m" + " " * 59 + "         " + "z" * 300,
    ]


@pytest.mark.parametrize("title", ["", "a title"])
def test_a_narrow_terminal_folds_cells_and_cuts_none(
    title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    print_table(HEAD, ROWS, title=title, numbers=["value"])
    lines = re.sub("\x1b\\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(map(len, lines)) <= 40
    text = "\n".join(lines)
    assert (text.count("x"), "\N{HORIZONTAL ELLIPSIS}" in text) == (70, False)
    assert all(word in text for word in ("1.5", "10.25", "note", "several", title))
    assert ("\N{BOX DRAWINGS LIGHT VERTICAL}" in text) == bool(title)


def test_a_table_without_rows_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEAD, [])
    assert capsys.readouterr().out == "model  value\n"
