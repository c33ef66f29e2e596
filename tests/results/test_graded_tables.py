"""Tables of suites whose images have scores between wrong and right, on metrics of two scales."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import load_results, pivot, trade_off, worst_case
from bench.compare.paired import with_baseline
from bench.compare.paired_table import comparison_rows, write_comparison
from bench.core.errors import UserError
from bench.plan.cells import Cell, expand
from bench.report.export import export
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.tables import cells_frame, load_scored
from bench.stats import ranks
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from tests.support.worded import ANSWERING, CAPTIONING, NAMES, N, filled, scores, suite_of

TEN = 10.0


def vectors(suite: Suite, store: Store) -> dict[tuple[str, str, str, str], np.ndarray]:  # type: ignore[type-arg]
    """Return what was stored, as shares of the best score, by model, dataset, source and eps."""
    found = {}
    for cell in expand(suite, store.lock()):
        key = (cell.target, cell.dataset, (cell.threat and cell.threat.source) or "", cell.eps)
        shares = np.minimum(scores(cell), 1)
        found[key] = shares > 0.5 if cell.metric == "yes_no_accuracy" else shares
    return found


@pytest.fixture
def answering(tmp_path: Path) -> tuple[Suite, Store]:
    suite = suite_of(ANSWERING)
    return suite, filled(tmp_path, suite)


@pytest.fixture
def captioning(tmp_path: Path) -> tuple[Suite, Store]:
    suite = suite_of(CAPTIONING)
    return suite, filled(tmp_path, suite)


def test_cells_are_means_of_scores(answering: tuple[Suite, Store]) -> None:
    suite, store = answering
    export(read_results(suite, store))
    cells = load_results(store.folder)
    of = vectors(suite, store)
    for row in cells.to_dict("records"):
        expected = of[row["model"], row["dataset"], row["source"], row["eps"]].mean()
        assert row["value"] == pytest.approx(expected, abs=1e-5)
        assert 0 <= row["ci_low"] < row["value"] < row["ci_high"] <= 1
        assert row["n"] == N
    assert set(cells["task"]) == {"visual question answering"}
    assert set(cells[cells["dataset"] == "pope"]["metric"]) == {"yes_no_accuracy"}
    assert set(cells[cells["dataset"] == "textvqa"]["metric"]) == {"vqa_accuracy"}


def test_less_spread_makes_a_narrower_interval(tmp_path: Path) -> None:
    suite = suite_of(ANSWERING)

    def widths(folder: str, given: np.ndarray) -> "pd.Series[float]":  # type: ignore[type-arg]
        store = filled(tmp_path / folder, suite, lambda _: given)
        export(read_results(suite, store))
        cells = load_results(store.folder)
        return (cells["ci_high"] - cells["ci_low"])[cells["dataset"] == "textvqa"]

    wide = widths("a", np.repeat([0, 1], N // 2))
    narrow = widths("b", np.tile([0.3, 0.3, 0.6, 0.6, 0.6, 0.6], N // 6))
    assert (narrow < 0.6 * wide).all()


def test_the_leaderboard_takes_the_least_of_each_image(answering: tuple[Suite, Store]) -> None:
    suite, store = answering
    board = leaderboard(board_cells(suite, load_scored(read_results(suite, store))))
    assert list(board.columns) == [
        *("rank", "model", "threat", "source", "clean", "apgd-text@2/255", "apgd-text@4/255"),
        *("worst", "n", "datasets", "flags"),
    ]
    of = vectors(suite, store)
    left: dict[str, list[np.ndarray]] = {}  # type: ignore[type-arg]
    for row in board.to_dict("records"):
        name, white = row["model"], row["threat"] == "white-box"
        sources = ("", NAMES[0]) if white else (NAMES[0],)
        worst = [
            np.minimum.reduce([of[name, dataset.name, source, "4/255"] for source in sources])
            for dataset in suite.datasets
        ]
        assert row["worst"] == pytest.approx(np.mean([part.mean() for part in worst]), abs=1e-6)
        assert row["n"] == 2 * N
        assert row["datasets"] == 2
        clean = [of[name, dataset.name, "", ""].mean() for dataset in suite.datasets]
        assert row["clean"] == pytest.approx(np.mean(clean), abs=1e-6)
        if white:
            left[name] = worst
    found = board[board["threat"] == "white-box"].set_index("model")["rank"].to_dict()
    assert found == dict(zip(left, ranks([*left.values()]), strict=True))
    assert found["LLaVA"] == 3


def test_worst_cases_of_each_dataset_have_its_own_metric(answering: tuple[Suite, Store]) -> None:
    suite, store = answering
    found = worst_case(suite, store.folder.parent)
    assert dict(zip(found["dataset"], found["metric"], strict=True)) == {
        "textvqa": "vqa_accuracy",
        "pope": "yes_no_accuracy",
    }
    assert (found["ci_low"] < found["value"]).all()


def test_cider_keeps_its_scale_everywhere(captioning: tuple[Suite, Store], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    suite, store = captioning
    board = export(read_results(suite, store), parquet=True)
    cells = load_results(store.folder)
    of = vectors(suite, store)
    clean = cells[cells["attack"] == "clean"].set_index("model")
    for name in NAMES:
        expected = of[name, "flickr", "", ""].mean() * TEN
        assert clean.loc[name, "value"] == pytest.approx(expected, abs=1e-4)
        assert clean.loc[name, "ci_low"] < expected < clean.loc[name, "ci_high"]
    assert clean["value"].max() > 1
    assert set(cells["metric"]) == {"cider"}
    assert set(cells["task"]) == {"captioning"}
    row = board[(board["model"] == NAMES[1]) & (board["threat"] == "white-box")].iloc[0]
    assert row["clean"] == pytest.approx(clean.loc[NAMES[1], "value"], abs=1e-4)
    (of_json,) = [
        entry
        for entry in json.loads((store.folder / "leaderboard.json").read_text())["rows"]
        if (entry["model"], entry["threat"]) == (NAMES[1], "white-box")
    ]
    for column in ("clean", "apgd-text@4/255", "worst"):
        rate = of_json["rates"][column]
        assert rate["value"] == pytest.approx(row[column], rel=1e-4)
        assert 0 < rate["low"] < rate["value"] < rate["high"] < TEN
    own = cells[(cells["model"] == NAMES[1]) & (cells["threat"] == "white-box")].iloc[-1]
    assert of_json["rates"]["apgd-text@4/255"]["low"] == pytest.approx(own["ci_low"], rel=1e-4)
    for file in ("leaderboard.md", "leaderboard.tex"):
        text = (store.folder / file).read_text()
        assert "CIDEr-D from 0 to 10" in text
        assert f"{row['worst']:.3f}" in text
        assert "percent" not in text
    typed = pd.read_parquet(store.folder / "cells.parquet")
    assert typed["value"].tolist() == pytest.approx(cells["value"].tolist(), rel=1e-5)


def test_notebooks_have_the_scale_too(captioning: tuple[Suite, Store]) -> None:
    suite, store = captioning
    export(read_results(suite, store))
    results = load_results(store.folder)
    assert pivot(results)["clean"].max() > 1
    found = trade_off(results).iloc[0]
    assert found["clean_low"] < found["clean"] < found["clean_high"]
    single = results[(results["model"] == found["model"]) & (results["attack"] == "clean")].iloc[0]
    assert found["clean"] == pytest.approx(single["value"])
    assert found["clean_low"] < single["ci_low"]  # the widest that the row may come from


def test_figures_of_cider(captioning: tuple[Suite, Store]) -> None:
    pytest.importorskip("matplotlib")
    suite, store = captioning
    export(read_results(suite, store), figures=True)
    drawn = (store.folder / "figures" / "tradeoff.svg").read_text()
    assert "CIDEr-D" in drawn
    assert "(%)" not in drawn
    assert pd.read_csv(store.folder / "figures" / "bars.csv")["value"].max() > 1


def test_models_are_compared_over_unlike_metrics(answering: tuple[Suite, Store]) -> None:
    suite, store = answering
    found = with_baseline(read_results(suite, store), NAMES[0], force=False)
    board = leaderboard(board_cells(suite, load_scored(read_results(suite, store)))).set_index(
        ["model", "threat"]
    )
    whole = [d for d in found.means if d.label.attack == "worst" and d.label.threat == "white-box"]
    assert [d.label.model for d in whole] == [*NAMES[1:]]
    for delta in whole:
        assert delta.label.metric == "vqa_accuracy and yes_no_accuracy"
        assert delta.first == pytest.approx(board.loc[(delta.label.model, "white-box"), "worst"])
        assert delta.low is not None
        assert delta.high is not None
        assert delta.value is not None
        assert delta.low < delta.value < delta.high
        assert delta.real
    assert {(d.label.dataset, d.label.metric) for d in found.per_dataset} == {
        ("textvqa", "vqa_accuracy"),
        ("pope", "yes_no_accuracy"),
    }
    write_comparison(store, found)
    assert (store.folder / "compare.csv").read_text().count("vqa_accuracy and yes_no") > 0


def test_differences_of_cider_are_on_its_scale(captioning: tuple[Suite, Store]) -> None:
    suite, store = captioning
    found = with_baseline(read_results(suite, store), NAMES[0], force=False)
    of = vectors(suite, store)
    (delta,) = [
        d for d in found.means
        if (d.label.model, d.label.attack, d.label.threat, d.label.eps)
        == (NAMES[1], "apgd-text", "white-box", "4/255")
    ]  # fmt: skip
    first, second = (of[name, "flickr", "", "4/255"].mean() * TEN for name in NAMES[1::-1])
    assert (delta.first, delta.second) == pytest.approx((first, second), abs=1e-5)
    assert delta.low is not None
    assert delta.high is not None
    assert 0 < delta.low < first - second < delta.high < TEN
    assert delta.real
    assert any(f"{first - second:+.3f}" in row for row in comparison_rows(found))


def test_equal_models_are_never_apart(tmp_path: Path) -> None:
    suite = suite_of(ANSWERING)

    def same(cell: Cell) -> np.ndarray:  # type: ignore[type-arg]
        return np.linspace(0, 1, N) * (1 if cell.attack is None else 0.5)

    store = filled(tmp_path, suite, same)
    board = leaderboard(board_cells(suite, load_scored(read_results(suite, store))))
    assert set(board["rank"]) == {1}
    found = with_baseline(read_results(suite, store), NAMES[0], force=False)
    assert {d.p for d in (*found.means, *found.per_dataset)} == {1.0}
    assert not any(d.real for d in found.means)


def test_right_and_wrong_answers_may_be_written_as_scores(tmp_path: Path) -> None:
    suite = suite_of(ANSWERING[1:])
    plain, written = filled(tmp_path / "a", suite), filled(tmp_path / "b", suite)
    for cell in expand(suite, written.lock()):
        result = written.get(cell.id)
        assert result is not None
        written.put(replace(result, scores=result.correct.astype(np.float32)))
    for store in (plain, written):
        export(read_results(suite, store))
        write_comparison(store, with_baseline(read_results(suite, store), NAMES[0], force=False))
    for name in ("cells.csv", "leaderboard.csv", "compare.csv"):
        assert (plain.folder / name).read_bytes() == (written.folder / name).read_bytes()


def test_a_source_of_images_that_does_not_answer_is_in_no_table(tmp_path: Path) -> None:
    for attacked in (True, False):
        suite = suite_of(ANSWERING, attacked=attacked)
        store = filled(tmp_path / str(attacked), suite)
        board = export(read_results(suite, store))
        assert "CLIP" in suite.models
        assert set(board["model"]) == set(NAMES) == set(load_results(store.folder)["model"])
        assert ">CLIP</option>" not in (store.folder / "leaderboard.html").read_text()
    with pytest.raises(UserError, match="got 'CLIP'; allowed: LLaVA, "):
        with_baseline(read_results(suite, store), "CLIP", force=False)


def test_questions_about_one_image_make_wider_intervals(tmp_path: Path) -> None:
    suite = suite_of(ANSWERING)

    def width(folder: str, ids: tuple[str, ...]) -> float:
        store = filled(tmp_path / folder, suite, lambda _: np.repeat([0, 1], N // 2))
        scored = [
            item._replace(result=replace(item.result, sample_ids=ids))
            for item in load_scored(read_results(suite, store))
            if item.result is not None
        ]
        cells = cells_frame(suite, scored)
        assert set(cells["n"]) == {N}
        return float((cells["ci_high"] - cells["ci_low"]).iloc[0])

    alone = width("a", tuple(f"{place}.jpg#1" for place in range(N)))
    shared = width("b", tuple(f"{place // 3}.jpg#{place}" for place in range(N)))
    assert shared > 1.5 * alone
