"""The leaderboard in every format: equal numbers, and names that mean nothing but themselves."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import load_results
from bench.core.errors import UserError
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.plan.identity import spec_digests
from bench.report.export import export
from bench.report.export.escape import latex, markdown
from bench.results.manifest import manifest
from bench.results.number_format import rounded
from bench.results.spreadsheet import csv_row, csv_text, unescaped
from bench.results.tables import load_scored, read_cells
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from tests.support.stored_cells import change_body

N = 40
HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd()",
    "+1",
    "-2",
    "@SUM(A1)",
    "'=quoted",
    "../../x",
    r"\input{/etc/passwd}",
    r"a & b % c # d $x$ ^ ~ {} \\ -- ``''",
    "[5cm]*",
    "a|b\u2028c",
    "*bold* _it_ [link](http://x.test) `code`",
    "中文 αβ é \u202ertl",
    'quote " and , comma',
)
TIED = ("Twin one", "Twin two")
MODELS = (*HOSTILE, *TIED)
FORMATS = ("csv", "html", "json", "md", "tex")


def suite_of(names: tuple[str, ...]) -> Suite:
    models = {
        name: {"kind": "python", "target": f"own:m{place}"} for place, name in enumerate(names)
    }
    return Suite.model_validate(
        {
            "suite": "hostile_names",
            "protocol": {"preset": "radapt-paper", "pixels": "native"},
            "samples": N,
            "models": models,
            "datasets": ["cifar10", "digits"],
            "attacks": [{"kind": "pgd", "eps": ["1/255", "2/255"], "name": "=pgd()"}],
            "threats": ["white-box", {"transfer": names[0]}],
        }
    )


SUITE = suite_of(MODELS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    names = ("cifar10", "digits")
    ids = tuple(map(str, range(N)))
    lock = Lock(
        {name: str(place) for place, name in enumerate(MODELS)},
        {name: DatasetLock(name, ids, ("x",)) for name in names},
        spec_digests(SUITE),
    )
    store = Store(tmp_path / "results", SUITE.suite)
    store.put_lock(lock)
    for cell in expand(SUITE, lock):
        place = min(MODELS.index(cell.target), len(HOSTILE))  # the twins are equal
        correct = np.arange(N) < 10 + 2 * place - 5 * (cell.attack is not None)
        far = np.full(N, 0.001, np.float32)
        done = CellResult(cell.id, "ok", correct, ids, far, 0.5, N, {"torch": "0"})
        store.put(done)
    return store


def read_board(folder: Path) -> pd.DataFrame:
    return unescaped(pd.read_csv(folder / "leaderboard.csv", keep_default_na=False))


def test_every_format_has_every_row_and_the_same_numbers(store: Store) -> None:
    export(read_results(SUITE, store))
    board = read_board(store.folder)
    assert len(board) == 2 * len(MODELS)
    records = json.loads((store.folder / "leaderboard.json").read_text())["rows"]
    assert [row["model"] for row in records] == list(board["model"])
    worst = [round(row["rates"]["worst"]["value"], 6) for row in records]
    assert worst == pytest.approx(board["worst"].tolist())
    for row in records:
        for rate in row["rates"].values():
            assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
            assert rate["low"] < rate["high"]
    percents = [f"{100 * value:.1f}" for value in board["worst"]]
    text = (store.folder / "leaderboard.md").read_text()
    lines = [line for line in text.splitlines() if re.match(r"\| (\d|–)", line)]
    cells = [re.split(r"(?<!\\)\|", line) for line in lines]
    assert {len(row) for row in cells} == {len(cells[0])}  # no name makes a column
    assert [row[-4].strip(" *") for row in cells] == percents
    names = [html.unescape(re.sub(r"\\([^A-Za-z0-9\s])", r"\1", row[2].strip())) for row in cells]
    assert names == [" ".join(name.split()) for name in board["model"]]
    rows = [
        line for line in (store.folder / "leaderboard.tex").read_text().splitlines()
        if line.endswith(r" \\") and re.search(r"\d\.\d", line)
    ]  # fmt: skip
    assert [
        re.sub(r"\\textbf{(.*?)}", r"\1", row).split(" & ")[-1][:-3] for row in rows
    ] == percents


def test_the_best_are_bold_and_ties_too(store: Store) -> None:
    export(read_results(SUITE, store))
    text = (store.folder / "leaderboard.tex").read_text()
    for name in TIED:
        rows = [line for line in text.splitlines() if line.startswith(name)]
        assert [row.count(r"\textbf{") for row in rows] == [4, 4]  # all columns, both threats
    assert text.count(r"\textbf{") == 2 * 2 * 4
    marked = (store.folder / "leaderboard.md").read_text()
    assert len(re.findall(r"\*\*\d+\.\d\*\*", marked)) == 2 * 2 * 4


def test_csv_is_harmless_and_comes_back_as_it_was(store: Store) -> None:
    export(read_results(SUITE, store))
    for name in ("cells.csv", "leaderboard.csv"):
        with (store.folder / name).open(encoding="utf-8", newline="") as file:
            for record in csv.reader(file):
                assert not [cell for cell in record if cell[:1] in ("=", "+", "-", "@")]
    cells = load_results(store.folder)
    assert set(cells["model"]) == set(MODELS)
    assert set(cells["attack"]) == {"clean", "=pgd()"}
    assert set(cells["source"]) == {"", MODELS[0]}
    assert csv_text(cells) == (store.folder / "cells.csv").read_text("utf-8")


def test_tables_of_figures_are_harmless(store: Store) -> None:
    pytest.importorskip("matplotlib")
    export(read_results(SUITE, store), figures=True)
    tables = list((store.folder / "figures").glob("*.csv"))
    assert len(tables) == 3
    for table in tables:
        text = table.read_text("utf-8")
        assert not [
            c for line in csv.reader(text.splitlines()) for c in line if c[:1] in "=+-@" and c
        ]
        assert set(unescaped(pd.read_csv(table, keep_default_na=False))["model"]) == set(MODELS)


def test_csv_json_and_page_have_the_same_digits(store: Store) -> None:
    export(read_results(SUITE, store))
    cells = load_results(store.folder)
    text = (store.folder / "leaderboard.html").read_text("utf-8")
    shown = re.search(r'"cells":(\[.*?\]),"details"', text)
    assert shown is not None
    rates = [cell[6] for cell in json.loads(shown.group(1))]
    assert rates == cells[["value", "ci_low", "ci_high"]].to_numpy().tolist()
    assert rounded(0.000123456789) == 0.000123457


def test_csv_leaves_numbers_and_ordinary_texts_alone() -> None:
    frame = pd.DataFrame({"x": ["a", "R-Adapt+", "4/255"], "y": [-1.5, float("nan"), 2.0]})
    assert csv_text(frame) == "x,y\na,-1.5\nR-Adapt+,\n4/255,2\n"


@pytest.mark.parametrize("text", ["=1", "'", "''=1", "'a", "\t=1", "＝1", "plain", "-", ""])
def test_a_text_comes_back(text: str) -> None:
    written = csv_text(pd.DataFrame({text or "x": [text, "b"]}))
    frame = unescaped(pd.read_csv(io.StringIO(written), keep_default_na=False, dtype=str))
    assert list(frame.columns) == [text or "x"]
    assert frame.iloc[:, 0].tolist() == [text, "b"]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_page_has_no_element_of_a_name(store: Store) -> None:
    export(read_results(SUITE, store))
    elements = Elements()
    elements.feed((store.folder / "leaderboard.html").read_text())
    assert elements.tags["script"] == 2
    assert "img" not in elements.tags
    assert elements.handlers == []
    assert elements.tags["option"] >= len(MODELS)


def test_markdown_has_no_markup_of_a_name() -> None:
    for name in HOSTILE:
        shown = markdown(name)
        assert "<" not in shown and "\n" not in shown and "\u2028" not in shown
        assert not re.search(r"(?<!\\)[|.@:`\[\]*_]", shown.replace("\\\\", ""))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex to compile with")
def test_latex_compiles_and_reads_no_file(store: Store, tmp_path: Path) -> None:
    export(read_results(SUITE, store))
    main = tmp_path / "main.tex"
    main.write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage{textcomp}\n"
        "\\begin{document}\n\\input{" + str(store.folder / "leaderboard.tex") + "}\n"
        "\\end{document}\n"
    )
    call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-recorder", main.name]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "main.pdf").exists()
    read = (tmp_path / "main.fls").read_text(errors="replace")
    assert "passwd" not in read


def test_latex_escapes_every_character_of_ascii() -> None:
    for code in range(32, 127):
        shown = latex(chr(code))
        assert shown == chr(code) or shown.startswith(("\\", "{")), shown
    assert latex("中") == "(U+4E2D)"
    assert latex("α") == r"\ensuremath{\alpha}"
    assert latex("a---b") == "a-{}-{}-b"


def test_parquet(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    export(read_results(SUITE, store), parquet=True)
    frame = pd.read_parquet(store.folder / "cells.parquet")
    read = load_results(store.folder)
    assert list(frame["model"]) == list(read["model"])
    assert frame["value"].tolist() == pytest.approx(read["value"].tolist())
    assert str(frame["value"].dtype) == "float64" and str(frame["n"].dtype) == "int64"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pyarrow is not installed"):
        export(read_results(SUITE, store), parquet=True)


def test_no_file_is_named_after_a_name(store: Store, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if path.parent.name != "cells"}
    export(read_results(SUITE, store), figures=True)
    made = {path for path in tmp_path.rglob("*") if path.parent.name != "cells"} - before
    assert {path.parent for path in made} <= {store.folder, store.folder / "figures"}
    assert {path.suffix for path in made if path.is_file()} == {
        f".{ending}" for ending in (*FORMATS, "png", "svg", "pdf")
    }
    assert all(re.fullmatch(r"[a-z]+(\.[a-z]+)?", path.name) for path in made)


def test_cells_whose_details_are_damaged_are_in_no_table(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = expand(SUITE, store.lock())
    damaged = next(cell for cell in cells if cell.target == MODELS[0] and cell.eps == "2/255")
    change_body(store.folder, damaged.id)
    shown = list[pd.DataFrame]()
    board = export(read_results(SUITE, Store(store.folder.parent, SUITE.suite)), show=shown.append)
    told = capsys.readouterr().err
    assert f"damaged ({damaged.id}.body: " in told
    assert "it will be computed again" in told
    assert len(shown) == 2  # the first was counted before the details were read
    assert shown[1].equals(board)
    rows = board[board["model"] == MODELS[0]].set_index("threat")
    assert rows.loc["white-box", "flags"] == "incomplete"
    assert pd.isna(rows.loc["white-box", "=pgd()@2/255"])
    assert not pd.isna(rows.loc["white-box", "=pgd()@1/255"])
    left = {cell.id for cell in cells} - {damaged.id}
    assert set(read_cells(store.folder / "cells.csv")["cell_id"]) == left
    assert json.loads((store.folder / "manifest.json").read_text()).keys() == left
    page = (store.folder / "leaderboard.html").read_text()
    assert damaged.id not in page


def test_rows_have_the_texts_and_numbers_of_other_tables() -> None:
    values = [
        *HOSTILE,
        "",
        "plain",
        -0.5,
        -0.0,
        1.0,
        1 / 3,
        1e-9,
        12345678.9,
        float("nan"),
        None,
        7,
    ]
    frame = pd.DataFrame([values], columns=[f"c{place}" for place in range(len(values))])
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(csv_row(values))
    assert written.getvalue() == csv_text(frame).split("\n", 1)[1]


def test_of_models_with_equal_weights_the_manifest_names_the_first(tmp_path: Path) -> None:
    entry = suite_of(("A", "B")).model_dump(mode="json")
    twins = {name: {"kind": "nano", "weights": "clip"} for name in "AB"}
    suite = Suite.model_validate({**entry, "models": twins})
    lock = Lock(dict.fromkeys("AB", "0"), {}, spec_digests(suite))
    store = Store(tmp_path, suite.suite)
    store.put_lock(lock)
    for cell in expand(suite, lock):
        far = np.zeros(N, np.float32)
        right, ids = np.arange(N) < 9, tuple(map(str, range(N)))
        store.put(CellResult(cell.id, "ok", right, ids, far, 0.5, N, {}))
    export(read_results(suite, store))
    entries = json.loads((store.folder / "manifest.json").read_text())
    cells = read_cells(store.folder / "cells.csv")
    first = cells.drop_duplicates("cell_id").set_index("cell_id")["model"]
    assert len(first) < len(cells)
    assert {key: entry["model"] for key, entry in entries.items()} == first.to_dict()
    results = read_results(suite, store)
    assert manifest(suite, results.lock, load_scored(results)) == entries
