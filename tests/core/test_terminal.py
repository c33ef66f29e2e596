"""What reaches a terminal: texts of strangers as letters, and no code that a terminal obeys."""

import dataclasses
import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.text import Text

import run_bench
from bench.core.terminal import Legible, inner_stream, legible, legible_output
from bench.plan.cells import expand
from bench.results.number_format import PERCENT
from bench.run.console.closing_table import print_leaderboard
from bench.run.console.legible_console import Terminal, literal_text
from bench.run.events import EventFile
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from radapt.cli.main import main as radapt_main
from tests.conftest import png
from tests.support.hub_server import Hub

ROOT = Path(__file__).parents[2]
CODES = "\x1b]0;pwned\x07\x1b[2J\x9b31m\x7f\u202e\u2066"
EVIL = f"{CODES}[bold red]x[link=http://x]y[/] :boom:"
SAFE = "[bold red]x[link=http://x]y[/] :boom:"  # markup stays, as letters
NAME = "\u202e[bold red]x[link=http://x]y[/] :boom:"  # suites refuse codes in names and paths
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

Call = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Return what calls a command in this process, and fails where a code comes out of it."""

    def call(*arguments: object, main: Callable[[list[str]], int] = run_bench.main) -> object:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # of argparse
            code = int(str(error.code))
        out, err = capsys.readouterr()
        assert not RAW.search(out), repr(out)
        assert not RAW.search(err), repr(err)
        assert "Traceback" not in err, err
        return code, out, err

    return call  # type: ignore[return-value]


def test_only_what_is_obeyed_is_replaced() -> None:
    assert legible(CODES) == "\ufffd]0;pwned\ufffd\ufffd[2J\ufffd31m" + 3 * "\ufffd"
    plain = "a\tb\nc [red] ünï 日本 👩\u200d🔬 نامه\u200cای"  # joiners are part of words
    assert legible(plain) == plain
    for code in [*range(9), *range(11, 32), *range(127, 160), 0xD800, 0xFEFF]:
        assert legible(chr(code)) == "\ufffd"


def test_all_that_is_printed_goes_through_the_door(capsys: pytest.CaptureFixture[str]) -> None:
    with legible_output():
        print(EVIL)
        sys.stdout.writelines([CODES, "\n"])
        sys.stderr.write(f"{EVIL}\n")
        assert inner_stream(sys.stdout) is not sys.stdout
    out, err = capsys.readouterr()
    assert not RAW.search(out + err)
    assert (out.count(SAFE), err.count(SAFE)) == (1, 1)


def test_the_door_is_a_stream_as_any_other() -> None:
    file = io.TextIOWrapper(io.BytesIO(), "utf-8")
    door = Legible(file)
    assert door.write("\x1b") == 1
    door.flush()
    assert file.buffer.getvalue() == "\ufffd".encode()  # type: ignore[attr-defined]
    assert (door.encoding, door.buffer, door.isatty()) == ("utf-8", file.buffer, False)
    del door
    assert not file.closed


def test_a_board_writes_no_codes_but_its_own() -> None:
    def written(*texts: Text | str) -> str:
        file = io.StringIO()
        file.isatty = lambda: True  # type: ignore[method-assign]
        Terminal(file, 200).print(*texts)
        return file.getvalue()

    coloured = re.sub("\x1b\\[[0-9;]*m", "", written(literal_text(EVIL, style="red")))
    assert not RAW.search(coloured)
    assert SAFE in coloured
    foreign = Text.from_ansi(f"\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\ {CODES[6:]}")
    assert not RAW.search(re.sub("\x1b\\[[0-9;]*m", "", written(foreign)))


def test_codes_in_a_name_do_not_cut_it_short(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"threat": "", "source": "", "model": f"{CODES}[alpha={alpha}]", "clean": 0.5, "flags": ""}
        for alpha in (1, 2)
    ]
    print_leaderboard(pd.DataFrame(rows), CODES, PERCENT)
    out = capsys.readouterr().out
    assert not RAW.search(out)
    assert all(f"{legible(CODES)}[alpha={alpha}]" in out for alpha in (1, 2))


@pytest.fixture
def hostile(tmp_path: Path, suite_file: Write, hub: Hub) -> Path:
    """Return a suite whose names, note, and paths hold all that may be there."""
    folder = tmp_path / NAME.replace("/", "|")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, 32, 32, 3), dtype=np.uint8)
    for label in range(2):
        place = folder / f"{CODES}{label}"
        place.mkdir(parents=True)
        for number in range(2):
            (place / f"{CODES}{number}.png").write_bytes(png(pixels[label, number]))
    damaged = tmp_path / f"{NAME.replace('/', '|')}damaged"
    (damaged / "cat").mkdir(parents=True)
    (damaged / "cat" / f"{CODES}.png").write_bytes(b"none")
    return suite_file(
        note=f"{EVIL} <img src=x onerror=alert(1)>",
        samples=4,
        protocol={"preset": "radapt-paper", "pixels": "native"},
        models={
            NAME: {"kind": "nano", "weights": "clip"},
            f"{NAME}2": {
                "kind": "radapt", "base": NAME, "anchor": {"file": f"{NAME}.pt"},
                "alpha": 0.5, "cutoff": 40,
            },
        },
        datasets=[
            {"kind": "folder", "name": NAME, "path": str(folder)},
            {"kind": "folder", "name": f"{NAME}2", "path": str(damaged)},
            {"kind": "folder", "name": f"{NAME}3", "path": f"{NAME}-gone"},
        ],
        attacks=[{"kind": "pgd", "eps": "1/255", "steps": 1}],
        threats=["white-box", {"transfer": NAME}],
    )  # fmt: skip


def test_no_command_hands_on_what_a_terminal_obeys(
    hostile: Path, tmp_path: Path, call: Call
) -> None:
    to = ("--results", tmp_path / f"{CODES}r")
    suite = load_suite(hostile)
    store = Store(tmp_path / f"{CODES}r", suite.suite)
    name = legible(NAME)

    code, out, _ = call("plan", hostile, *to)
    assert (code, name in out, SAFE in out) == (0, True, True)
    code, out, _ = call("doctor", hostile, *to)
    assert (code, f"datasets.{name}3" in out) == (1, True)
    code, _, err = call("fetch", hostile, *to)
    assert (code, f"datasets.{name}3" in err) == (1, True)
    code, out, err = call("run", hostile, *to, "--device", "cpu", "--no-check", "--go-on")
    assert (code, name in out, f"failed: {name}" in err) == (1, True, True)
    bundle = tmp_path / f"{CODES}.zip"
    assert call("export", hostile, *to, "--bundle", bundle)[0] == 0
    assert call("merge", hostile, *to, bundle)[0] == 0
    assert call("merge", hostile, *to, tmp_path / EVIL)[0] == 2
    _strangers_results(suite, store)
    code, out, _ = call("status", hostile, *to)
    assert code == 0
    assert out.count(f"\ufffd{SAFE}") > 2  # a reason, where a worker is, and how a run ended
    code, out, _ = call("export", hostile, *to)
    assert (code, f"\ufffd{SAFE}" in out) == (0, True)  # a flag
    ok = next(c for c in expand(suite, store.lock()) if (r := store.get(c.id)) and r.status == "ok")
    assert call("images", hostile, *to, "--cell", ok.id, "--device", "cpu")[0] == 0
    assert call("images", hostile, *to, "--cell", EVIL)[0] == 2
    code, out, _ = call("compare", hostile, *to, "--baseline", NAME)
    assert code in (0, 2)
    assert call("compare", hostile, *to, "--against", f"{EVIL}.csv")[0] == 2
    assert call("check", hostile, *to, "--against", f"{EVIL}.csv", "--device", "cpu")[0] == 2
    assert call("list")[0] == 0
    page = (store.folder / "leaderboard.html").read_text()
    assert "<img src=x" not in page
    assert not RAW.search((store.folder / "leaderboard.tex").read_text())


def _strangers_results(suite: Suite, store: Store) -> None:
    """Put what a run of ours never keeps among the results, as another's could hold it."""
    results = [store.get(cell.id) for cell in expand(suite, store.lock())]
    failed, fine = (
        next(r for r in results if r and r.status == status) for status in ("failed", "ok")
    )
    store.put(dataclasses.replace(failed, reason=EVIL))
    store.put(dataclasses.replace(fine, flags=(EVIL,)))
    events = EventFile(store.folder / "runs" / "99991231-235959-1" / "events.jsonl")
    events.begin([], [], 2)
    events.opened(EVIL, EVIL)
    events.lost(EVIL, EVIL)
    events.ended(EVIL)


def test_calls_and_suites_that_are_wrong_are_told_legibly(
    suite_file: Write, tmp_path: Path, call: Call
) -> None:
    wrong = suite_file(models={EVIL: {"kind": EVIL}}, datasets=[EVIL], threats=[{"transfer": EVIL}])
    for command in ("run", "plan", "status", "export", "fetch", "doctor"):
        code, _, err = call(command, wrong, "--results", tmp_path / EVIL)
        assert (code, SAFE in err) == (2, True)
    wrong.write_text(f"suite: {CODES}")
    assert call("plan", wrong)[0] == 2
    assert call("plan", tmp_path / EVIL)[0] == 2
    assert call("plan", suite_file(), EVIL)[0] == 2  # told by argparse
    assert call("plan", suite_file(), "--gpu", EVIL)[0] == 2
    code, _, err = call(
        *("anchor", "--model", EVIL, "--out", tmp_path / "anchor", "--device", "cpu"),
        main=radapt_main,
    )
    assert (code, SAFE in err) == (2, True)


def test_a_fault_of_ours_is_told_legibly(
    suite_file: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[str]:
        raise RuntimeError(EVIL)

    monkeypatch.setattr("bench.commands.plan.plan_lines", fail)
    assert run_bench.main(["plan", str(suite_file())]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert SAFE in err
    assert not RAW.search(err)


def test_a_live_board_on_a_terminal_is_legible() -> None:
    code = (
        "import sys, warnings; from bench.core.terminal import legible_output\n"
        f"from bench.run.console.board import Progression; EVIL = {EVIL!r}\n"
        "with legible_output():\n"
        "    shows = Progression(EVIL); events = {'time': '2026-01-01T00:00:00+00:00', 'at': 1.0}\n"
        "    facts = {'host': '', 'pid': 1, 'cells': 4, 'before': 0, 'jobs': 4, 'slots': 2}\n"
        "    shows.tell({**events, 'event': 'began', **facts})\n"
        "    shows.tell({**events, 'event': 'opened', 'slot': EVIL, 'where': EVIL})\n"
        "    doing = {'slot': EVIL, 'what': EVIL, 'estimate': None}\n"
        "    shows.tell({**events, 'event': 'starting', **doing})\n"
        "    shows.board.refresh()\n"
        "    print(EVIL, file=sys.stderr); print(EVIL); warnings.warn(EVIL)\n"
        "    shows.tell({**events, 'event': 'lost', 'slot': EVIL, 'reason': EVIL})\n"
        "    shows.close()\n"
    )
    outer, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "300", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=inner, stderr=inner, cwd=ROOT, env=environment) as run:
        os.close(inner)
        data = b""
        while True:
            try:
                data += (part := os.read(outer, 65536))
            except OSError:  # the other side is closed
                break
            if not part:
                break
    os.close(outer)
    assert run.returncode == 0
    text = data.decode()
    own = re.compile("\x1b\\[[0-9;?]*[mhlAKG]|\r")  # colours, cursor and lines of the board
    assert "\x1b[?25l" in text
    assert "pwned" in text
    assert not RAW.search(own.sub("", text).replace("\n", "")), text
    assert "\x1b[2J" not in text
    assert text.count("[bold red]x[link=http://x]y") >= 5
