"""Figures of results: what is drawn is what the tables have, to the same bytes each time."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.report.export import export
from bench.report.export.leaderboard_values import Row, boards
from bench.results.leaderboard import leaderboard
from bench.results.number_format import PERCENT
from bench.results.tables import load_scored
from bench.stats import Interval
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from tests.results.test_tables import (
    SUITE,
    store,  # noqa: F401
)

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from bench.report.figures.tradeoff import front, tradeoff


def test_figures_hold_the_tables_numbers(store: Store) -> None:  # noqa: F811
    board = export(read_results(SUITE, store), figures=True)
    folder = store.folder / "figures"
    drawn = pd.read_csv(folder / "tradeoff.csv", keep_default_na=False)
    white = drawn[(drawn["model"] == "A") & (drawn["threat"] == "white-box")]
    known = board[(board["model"] == "A") & (board["threat"] == "white-box")].iloc[0]
    assert white.set_index("attack")["value"].to_dict() == pytest.approx(
        {"clean": known["clean"], "worst": known["worst"]}
    )
    assert (drawn["ci_low"] < drawn["value"]).all() and (drawn["value"] < drawn["ci_high"]).all()
    curve = pd.read_csv(folder / "curves.csv")
    assert set(curve["attack"]) == {"clean", "pgd@1/255", "pgd@2/255", "cw@2/255"}
    bars = pd.read_csv(folder / "bars.csv")
    assert set(bars["dataset"]) == {"cifar10", "digits"}
    assert len(bars) == 2 * 2 * 3  # models, datasets; clean and two threats


def test_figures_are_the_same_to_the_byte(store: Store) -> None:  # noqa: F811
    def drawn() -> dict[str, bytes]:
        export(read_results(SUITE, store), figures=True)
        return {path.name: path.read_bytes() for path in (store.folder / "figures").iterdir()}

    first = drawn()
    assert len(first) == 3 * 4
    assert first == drawn()
    for name, content in first.items():
        start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}.get(Path(name).suffix[1:], b"")
        assert content.startswith(start)


def rows_of(store: Store) -> tuple[Row, ...]:  # noqa: F811
    scored = load_scored(read_results(SUITE, store))
    return boards(SUITE, scored, leaderboard(SUITE, scored))[""]


def test_the_front_is_what_nothing_beats(store: Store) -> None:  # noqa: F811
    row, *_ = rows_of(store)
    heights = {0.9: 0.1, 0.8: 0.3, 0.7: 0.3, 0.5: 0.6, 0.4: 0.2}
    points = [(row, Interval(x, x, x), Interval(y, y, y)) for x, y in heights.items()]
    assert [clean.value for _, clean, _ in front(points)] == [0.5, 0.8, 0.9]


def test_nothing_is_clipped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Panels share their axis: the first one, of lower values, must not cut the second."""
    figures: list[Figure] = []
    module = sys.modules["bench.report.figures.tradeoff"]
    monkeypatch.setattr(module, "save", lambda figure, *_: figures.append(figure))
    tradeoff(rows_of(store), {"A": 0, "<b>B</b>": 1}, PERCENT, Path("unused"))
    highest = max(100 * row.rates["worst"].high for row in rows_of(store) if row.rates["worst"])
    assert len(figures[0].axes) == 2
    assert all(axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > highest
               for axes in figures[0].axes)  # fmt: skip
