"""`load_results` in a notebook: a DataFrame like any other that also shows its leaderboard."""

import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from bench import load_results
from bench.core.errors import UserError
from bench.report.export import export
from bench.results.tables import read_cells
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from tests.results.test_tables import (
    SUITE,
    store,  # noqa: F401
)


@pytest.fixture
def folder(store: Store) -> Path:  # noqa: F811
    export(read_results(SUITE, store))
    return store.folder


def test_it_is_the_table_of_cells(folder: Path) -> None:
    results = load_results(folder)
    pd.testing.assert_frame_equal(results, read_cells(folder / "cells.csv"))
    for part in (results[results["model"] == "A"], results.copy(), results.set_index("cell_id")):
        assert type(part) is pd.DataFrame
    (_, group), *_ = results.groupby("model")
    assert type(group) is pd.DataFrame
    again = pickle.loads(pickle.dumps(results))
    assert again.leaderboard().data.equals(results.leaderboard().data)


def test_leaderboard(folder: Path) -> None:
    results = load_results(folder)
    styled = results.leaderboard()
    board = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False)
    assert styled.data["worst"].tolist() == pytest.approx(board["worst"].tolist())
    assert styled.data["model"].tolist() == board["model"].tolist()
    html = styled.to_html()
    first = json.loads((folder / "leaderboard.json").read_text())["rows"][0]["rates"]["clean"]
    low, high = (f"{100 * first[end]:.1f}" for end in ("low", "high"))
    assert f'content: "{low} to {high}"' in html
    assert "<b>B" not in html and "&lt;b&gt;B&lt;/b&gt;" in html  # names come from anyone
    assert html.count("font-weight: bold") > 0

    digits = results.leaderboard("digits").data
    assert digits["images"].tolist() == [40] * 4
    with pytest.raises(UserError, match=r"dataset: got 'digit'; allowed: .*'digits'"):
        results.leaderboard("digit")


def test_the_best_of_each_threat_model_is_bold(folder: Path) -> None:
    styled = load_results(folder).leaderboard()
    data = styled._compute().data
    bold = {
        (data["threat"][row], data["model"][row])
        for (row, column), styles in styled.ctx.items()
        if data.columns[column] == "worst" and ("font-weight", "bold") in styles
    }
    best = {
        (threat, rows.loc[rows["worst"].idxmax(), "model"])
        for threat, rows in data.groupby("threat")
    }
    assert bold == best and len(bold) == 2


def test_a_notebook_shows_the_leaderboard(folder: Path) -> None:
    results = load_results(folder)
    html = results._repr_html_()
    assert html is not None
    assert "<b>made-up</b>: 28 cells, 2 models, 2 datasets; accuracy (%)" in html
    assert ">75.0<" in html
    assert "<script" not in html
    (folder / "leaderboard.json").unlink()  # as in a folder that somebody sends
    assert "cell_id" in str(load_results(folder)._repr_html_())
    with pytest.raises(UserError, match=r"there is no such file; .* export SUITE"):
        results.leaderboard()
    (folder / "leaderboard.json").write_text('{"suite": "made-up"}')
    with pytest.raises(UserError, match="an earlier version wrote this file"):
        results.leaderboard()


def test_plots(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = load_results(folder)
    drawn = results.plot.tradeoff("digits")
    white = drawn.table[(drawn.table["model"] == "A") & (drawn.table["threat"] == "white-box")]
    assert white["value"].tolist() == pytest.approx([0.75, 0.125])  # survivors: positions 5 to 9
    content, size = drawn._repr_png_()
    assert content.startswith(b"\x89PNG") and 200 < size["width"] < 1000
    drawn.save(tmp_path / "figure")
    assert {path.suffix for path in tmp_path.glob("figure.*")} == {".png", ".svg", ".pdf", ".csv"}
    assert results.plot(x="n", y="value", kind="scatter").get_xlabel() == "n"  # pandas' own


def test_nothing_to_draw(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "leaderboard.json"
    entries = json.loads(path.read_text())
    entries["columns"] = [column for column in entries["columns"] if not column["eps"]]
    path.write_text(json.dumps(entries))
    with pytest.raises(UserError, match="suite made-up: no attack has a number"):
        load_results(folder).plot.curves()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"matplotlib is not installed; .*radapt-bench\[plot\]"):
        load_results(folder).plot.tradeoff()
