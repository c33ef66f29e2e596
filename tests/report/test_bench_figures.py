"""Figures of results: what is drawn is what the tables have, to the same bytes each time."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.report.export import export
from bench.report.export.leaderboard_values import Column, Row, boards
from bench.results.board_cells import board_cells
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
from matplotlib.text import Text

from bench.report.figures.bars import bars
from bench.report.figures.curves import curves
from bench.report.figures.figure_style import marker_style
from bench.report.figures.tradeoff import front, tradeoff
from radapt.figures.marks import hatching


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
    return boards(board_cells(SUITE, scored), leaderboard(board_cells(SUITE, scored)))[""]


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


def test_twenty_models_have_their_marks_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own shape and hatch, also without colours; no label is cut or covered."""
    names = [f"R-Adapt of ViT-L-14, {place}" for place in range(19)] + ["very " * 20 + "long"]
    indices = {name: place for place, name in enumerate(names)}
    columns = [Column(f"pgd@{eps}", "pgd", eps, "linf") for eps in ("1/510", "1/255", "8/255")]
    rate = Interval(0.5, 0.4, 0.6)
    rates = dict.fromkeys(["clean", "worst", *(column.key for column in columns)], rate)
    rows = tuple(Row(1, name, "white-box", "", rates, 9, (), {}) for name in names)
    sets = {name: rows for name in ("", "fashion-mnist", "oxford-pets", "stanford-cars", "sun397")}
    figures: list[Figure] = []
    for kind in ("bars", "curves", "tradeoff"):
        module = sys.modules[f"bench.report.figures.{kind}"]
        monkeypatch.setattr(module, "save", lambda figure, *_: figures.append(figure))
    tradeoff(rows, indices, PERCENT, Path("unused"))
    curves(rows, columns, indices, PERCENT, Path("unused"))
    bars(sets, indices, PERCENT, Path("unused"))
    for figure in figures:
        figure.draw_without_rendering()
        (legend,) = figure.legends
        drawn = [" ".join(text.get_text().split()) for text in legend.get_texts()]
        assert drawn == names
        texts: list[Text] = list(legend.get_texts())
        for axes in figure.axes:
            low, high = axes.get_xlim()
            ticks = [
                tick for tick in axes.get_xticklabels() if low <= tick.get_position()[0] <= high
            ]
            texts += [axes.title, axes.xaxis.label, *ticks]
        texts = [text for text in texts if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        whole = figure.bbox
        cut = [t for t, box in zip(texts, boxes, strict=True) if box.x0 < 0 or box.x1 > whole.x1]
        assert not cut
        assert not any(
            one.overlaps(two) for place, one in enumerate(boxes) for two in boxes[:place]
        )
    hatches = [patch.get_hatch() for patch in figures[2].legends[0].get_patches()]
    assert hatches == [hatching(place)["hatch"] for place in range(20)]
    assert len(set(hatches)) == len({marker_style(place)["marker"] for place in range(20)}) == 20
    white = figures[2].legends[0].get_patches()[1].get_hatchcolor()  # type: ignore[attr-defined]
    assert tuple(white)[:3] == (1, 1, 1)
