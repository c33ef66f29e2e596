"""Models against models, results against results: on made-up results that are known."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench.plan.identity_texts
from bench.compare.differences import (
    ComparisonLabel,
    DatasetScores,
    Difference,
    ScorePair,
    differences_of,
)
from bench.compare.paired import ComparisonTables, with_baseline, with_published, with_results
from bench.compare.paired_table import (
    COLUMNS,
    HEAD,
    SUMMARY,
    comparison_lines,
    comparison_rows,
    summary_rows,
    write_comparison,
)
from bench.core.errors import UserError
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.report.export import export
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.tables import load_scored
from bench.stats import holm, mcnemar, mean_of, paired_interval
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite, load_suite
from bench.trust.findings import Examined, Finding
from bench.trust.stored_findings import findings_and_todo, save_findings, trust_id
from tests.commands.test_cli import call

SIZES = {"cifar10": 120, "digits": 60}
RATES = {"CLIP": 0.3, "FARE": 0.6, "R-Adapt_CLIP": 0.55}
Right = Callable[[Cell, int], np.ndarray]  # type: ignore[type-arg]


def drawn(cell: Cell, n: int) -> np.ndarray:  # type: ignore[type-arg]
    """Images are hard in the same order for all; a model is right about a share of them."""
    hard = np.random.default_rng(len(cell.dataset)).uniform(size=n)
    noise = np.random.default_rng(int(cell.id[:8], 16)).normal(0, 0.2, n)
    share = 0.85 if cell.attack is None else RATES[cell.target]
    return hard + noise < share


@pytest.fixture
def made(suite_file: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[Suite, Store]]:
    """Return a maker of stored suites, each in a folder of results of its own."""

    def make(
        results: str = "results", right: Right = drawn, weights: str = "w", **changes: Any
    ) -> tuple[Suite, Store]:
        suite = load_suite(suite_file(**{"datasets": list(SIZES), **changes}))
        models = {name: f"{weights}-{name}" for name in suite.models}
        ids = {name: tuple(f"{i:04}" for i in range(n)) for name, n in SIZES.items()}
        sets = {
            name: DatasetLock(name, ids[name][: 5 * suite.samples], ("x", "y"), ("a {c}",))
            for name in SIZES
        }
        lock = Lock(models, sets, spec_digests(suite))
        store = Store(tmp_path / results, suite.suite)
        store.put_lock(lock)
        for cell in expand(suite, lock):
            known = lock.datasets[cell.dataset].sample_ids
            found, far = right(cell, len(known)), np.zeros(len(known), np.float32)
            store.put(CellResult(cell.id, "ok", found, known, far, 0.5, len(known), {}))
        export(read_results(suite, store))
        return suite, store

    return make


def named(items: Any, model: str, attack: str, dataset: str = "mean", **also: str) -> Difference:
    wanted = {"model": model, "attack": attack, "dataset": dataset, **also}
    (found,) = [
        item for item in items if all(getattr(item.label, key) == wanted[key] for key in wanted)
    ]
    return found


def test_models_against_a_baseline(made: Callable[..., tuple[Suite, Store]]) -> None:
    suite, store = made(samples=100)
    found = with_baseline(read_results(suite, store), "FARE", force=False)
    board = leaderboard(board_cells(suite, load_scored(read_results(suite, store)))).set_index(
        ["model", "threat"]
    )
    # clean; three attacks and the worst case under two threats; two models each
    assert len(found.means) == 2 * (1 + 2 * 4)
    assert len(found.per_dataset) == 2 * len(found.means)
    for threat in ("white-box", "transfer"):
        columns = {("pgd", "1/255"): "pgd@1/255", ("apgd-ce", "2/255"): "apgd-ce@2/255"}
        for (attack, eps), column in {**columns, ("worst", "2/255"): "worst"}.items():
            delta = named(found.means, "CLIP", attack, eps=eps, threat=threat)
            ours, theirs = (board.loc[(name, threat), column] for name in ("CLIP", "FARE"))
            assert (delta.first, delta.second) == pytest.approx((ours, theirs))
            assert delta.value == pytest.approx(ours - theirs)
            assert delta.low is not None
            assert delta.high is not None
            assert delta.low < delta.value < delta.high < 0
            assert delta.real
            assert delta.n == sum(SIZES.values())
    assert not named(found.means, "CLIP", "clean").real
    assert named(found.means, "CLIP", "worst", threat="transfer").label.flags == "source=target"


def test_unlike_findings_of_the_trust_battery_are_no_other_protocol(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    suite, store = made(samples=100)
    results = read_results(suite, store)
    _, numbers = findings_and_todo(results, deep=False)
    for (model, dataset), number in numbers.items():
        finding = Finding("chance" if model == "FARE" else "gradients", "warn", "made up")
        key = trust_id(suite, results.lock, (model, dataset), number, False)
        examined = Examined(model, dataset, "2/255", "pgd", 1, False, 1.0, (finding,))
        save_findings(store, key, examined)
    found = with_baseline(read_results(suite, store), "FARE", force=False)  # not refused
    assert not any(item.label.differs for item in found.means)


def test_single_datasets_have_mcnemars_test(made: Callable[..., tuple[Suite, Store]]) -> None:
    suite, store = made(samples=100)
    found = with_baseline(read_results(suite, store), "FARE", force=False)
    cells = {
        cell.target: cell
        for cell in expand(suite, store.lock())
        if cell.dataset == "digits" and cell.eps == "1/255" and cell.threat == suite.threats[0]
    }
    ours, theirs = (store.get(cells[name].id) for name in ("R-Adapt_CLIP", "FARE"))
    assert ours is not None
    assert theirs is not None
    delta = named(
        found.per_dataset, "R-Adapt_CLIP", "pgd", "digits", eps="1/255", threat="white-box"
    )
    assert delta.p == pytest.approx(mcnemar(ours.correct, theirs.correct))
    only = [(ours.correct & ~theirs.correct).sum()], [(theirs.correct & ~ours.correct).sum()]
    low, high = paired_interval(*only, [SIZES["digits"]])
    assert (delta.low, delta.high) == pytest.approx((float(low), float(high)))
    corrected = holm([item.p for item in found.per_dataset if item.p is not None])
    assert corrected == pytest.approx([item.p_holm for item in found.per_dataset])


def test_the_table_that_is_written(made: Callable[..., tuple[Suite, Store]]) -> None:
    suite, store = made(samples=100)
    found = with_baseline(read_results(suite, store), "CLIP", force=False)
    write_comparison(store, found)
    table = pd.read_csv(store.folder / "compare.csv", keep_default_na=False)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(found.means) + len(found.per_dataset)
    assert table["delta"].to_numpy() == pytest.approx(
        table["value"].to_numpy() - table["baseline_value"].to_numpy(), abs=2e-6
    )
    (worst,) = [
        dict(zip(HEAD, row, strict=True))
        for row in comparison_rows(found)
        if "FARE" in row and "worst" in row and "white-box" in row
    ]
    delta = named(found.means, "FARE", "worst", threat="white-box")
    assert delta.value is not None
    assert worst["delta"] == f"{100 * delta.value:+.1f}"
    assert (worst["real"], worst[""]) == ("yes", "")


def test_a_cell_without_a_number_has_no_difference(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    suite, store = made(threats=["white-box"])
    cells = expand(suite, store.lock())
    cell = next(c for c in cells if c.target == "FARE" and c.eps == "2/255")
    nothing = np.zeros(0)
    far = nothing.astype(np.float32)
    store.put(CellResult(cell.id, "failed", nothing.astype(bool), (), far, 0.1, 0, {}, "why"))
    found = with_baseline(read_results(suite, store), "CLIP", force=False)
    for attack in ("pgd", "worst"):
        delta = named(found.means, "FARE", attack, eps="2/255")
        assert (delta.value, delta.p, delta.real) == (None, None, None)
    assert named(found.per_dataset, "FARE", "pgd", "digits", eps="2/255").value is not None
    assert "2 of 10 differences lack a number on one side" in list(comparison_lines(found))


def test_results_against_the_same_of_other_code(
    made: Callable[..., tuple[Suite, Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_ever(cell: Cell, n: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.arange(n) < n * RATES[cell.target]

    def worse(cell: Cell, n: int) -> np.ndarray:  # type: ignore[type-arg]
        lost = 0.2 if cell.target == "FARE" and cell.attack and cell.attack.kind == "pgd" else 0
        return np.arange(n) < n * (RATES[cell.target] - lost)

    suite, store = made("now", as_ever)
    same = with_results(read_results(suite, store), store.folder, force=False)
    assert {item.value for item in same.means} == {0.0}
    assert not any(item.real for item in (*same.means, *same.per_dataset))
    monkeypatch.setattr(bench.plan.identity_texts, "IDENTITY_FORM", 99)
    _, before = made("before", worse)
    monkeypatch.undo()
    moved = with_results(read_results(suite, store), before.folder, force=False)
    assert {item.label.model for item in moved.means if item.real} == {"FARE"}
    assert {item.label.attack for item in moved.means if item.real} == {"pgd", "worst"}
    pgd = named(moved.means, "FARE", "pgd", eps="1/255", threat="white-box")
    assert pgd.value == pytest.approx(0.2)
    assert {item.label.flags for item in moved.means} == {"", "source=target"}


def test_a_side_s_share_of_reached_targets_is_no_flag_of_both(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    suite, store = made(threats=["white-box"])
    for number, cell in enumerate(expand(suite, store.lock())):
        result = store.get(cell.id)
        assert result is not None
        if cell.attack:
            flags = ("precision=bf16", f"reached=0.{number:02}")
            store.put(replace(result, flags=flags))
    found = with_baseline(read_results(suite, store), "FARE", force=False)
    assert {item.label.flags for item in found.means} == {"", "precision=bf16"}


def test_other_weights_of_one_name_are_marked(made: Callable[..., tuple[Suite, Store]]) -> None:
    suite, store = made("now", threats=["white-box"])
    _, before = made("before", weights="other", threats=["white-box"])
    found = with_results(read_results(suite, store), before.folder, force=False)
    assert {item.label.flags for item in found.means} == {"other-weights"}
    suite, store = made("now")
    _, before = made("before", weights="other")
    with pytest.raises(UserError, match=r"source_weights.hash: w-CLIP, other-CLIP"):
        with_results(read_results(suite, store), before.folder, force=False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"protocol": {"preset": "radapt-paper", "pixels": {"size": 48, "fit": "crop"}}}, "pixels"),
        ({"protocol": {"preset": "radapt-paper", "pixels": "native", "templates": ["x {c}"]}},
         "templates"),
        ({"attacks": [{"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 4}]}, "attack.steps"),
        ({"seed": 5}, "seed: 0, 5"),
        ({"samples": 10}, "image_ids"),
    ],
)  # fmt: skip
def test_what_protocols_differ_of_is_refused_or_marked(
    made: Callable[..., tuple[Suite, Store]], changes: dict[str, Any], field: str
) -> None:
    suite, store = made("now")
    _, before = made("before", **changes)
    with pytest.raises(UserError, match=f"(?s)protocols differ.*  {field}.*--force"):
        with_results(read_results(suite, store), before.folder, force=False)
    found = with_results(read_results(suite, store), before.folder, force=True)
    attacked = named(found.means, "FARE", "pgd", eps="1/255", threat="white-box")
    assert field in attacked.label.differs
    marks = [row[-1] for row in comparison_rows(found)]
    assert any("protocols differ: " in mark and field in mark for mark in marks)


def test_other_images_have_an_interval_and_no_test(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    suite, store = made("now")
    _, before = made("before", samples=10)
    found = with_results(read_results(suite, store), before.folder, force=True)
    delta = named(found.means, "FARE", "pgd", eps="1/255", threat="white-box")
    assert (delta.p, delta.real) == (None, None)
    assert delta.low is not None
    assert delta.high is not None
    assert delta.value is not None
    assert delta.high - delta.low > 0.1
    assert delta.low < delta.value < delta.high
    assert "compare different images" in "\n".join(comparison_lines(found))


def test_a_field_that_only_one_side_states_is_not_compared(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    suite, store = made("now")
    _, before = made("before")
    path = before.folder / "manifest.json"
    entries = json.loads(path.read_text())
    for entry in entries.values():
        del entry["judged_in"]
    path.write_text(json.dumps(entries))
    assert with_results(read_results(suite, store), before.folder, force=False).means


@pytest.mark.parametrize("content", ["null", "[]", '"x"', "entries", "bare entries", "no columns"])
def test_a_damaged_folder_is_refused(
    made: Callable[..., tuple[Suite, Store]], content: str
) -> None:
    suite, store = made("now")
    _, before = made("before")
    manifest = before.folder / "manifest.json"
    entries = json.loads(manifest.read_text())
    match content:
        case "entries":
            for entry in entries.values():
                del entry["seed"]
            manifest.write_text(json.dumps(entries))
        case "bare entries":
            manifest.write_text(json.dumps({key: [] for key in entries}))
        case "no columns":
            (before.folder / "cells.csv").write_text("a,b\n1,2\n")
        case _:
            manifest.write_text(content)
    with pytest.raises(UserError, match=r"--with: .*(cannot be read|has none of the cells)"):
        with_results(read_results(suite, store), before.folder, force=False)


def test_a_suite_of_one_model_has_no_baseline(made: Callable[..., tuple[Suite, Store]]) -> None:
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    suite, store = made(models=models, threats=["white-box"])
    with pytest.raises(
        UserError, match="--baseline: suite small has no other model to compare with 'CLIP'"
    ):
        with_baseline(read_results(suite, store), "CLIP", force=False)


def test_worst_case_where_only_transferred_images_are_defined(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    """A dataset's white-box cells are skipped; what is left of its worst case is transferred."""
    suite, store = made(samples=100)
    for cell in expand(suite, store.lock()):
        if cell.dataset == "digits" and cell.threat is not None and not cell.threat.source:
            none = np.zeros(0, np.float32)
            store.put(CellResult(cell.id, "skip", none > 0, (), none, 0.0, 0, {}, "undefined"))
    found = with_baseline(read_results(suite, store), "FARE", force=False)
    delta = named(found.means, "R-Adapt_CLIP", "worst", threat="white-box")
    assert delta.value is not None
    assert delta.n == sum(SIZES.values())


def test_a_worst_case_is_of_the_transferred_images_too(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    """So it is marked where only the protocol of transferred cells differs."""
    suite, store = made(samples=100)
    _, before = made("before", samples=100)
    path = before.folder / "manifest.json"
    entries = json.loads(path.read_text())
    for entry in entries.values():
        if entry.get("threat") == "transfer":
            entry["judged_in"] = "another place"
    path.write_text(json.dumps(entries))
    found = with_results(read_results(suite, store), before.folder, force=True)
    assert "judged_in" in named(found.means, "FARE", "worst", threat="white-box").label.differs
    assert not named(found.means, "FARE", "pgd", threat="white-box", eps="1/255").label.differs


def test_folders_that_are_no_results(
    made: Callable[..., tuple[Suite, Store]], tmp_path: Path
) -> None:
    suite, store = made("now")
    with pytest.raises(UserError, match=r"--with: .*cannot be read.*such as results/quickstart"):
        with_results(read_results(suite, store), tmp_path, force=False)
    models = {"Other": {"kind": "nano", "weights": "clip"}}
    _, other = made("other", lambda _, n: np.ones(n, bool), models=models, threats=["white-box"])
    with pytest.raises(UserError, match="has none of the cells of suite small"):
        with_results(read_results(suite, store), other.folder, force=False)
    with pytest.raises(UserError, match="got 'Nobody'; allowed: CLIP, FARE, R-Adapt_CLIP"):
        with_baseline(read_results(suite, store), "Nobody", force=False)
    with pytest.raises(UserError, match="no results are stored; run the suite first"):
        with_baseline(
            read_results(suite, Store(tmp_path / "empty", suite.suite)), "FARE", force=False
        )


def test_published_numbers(made: Callable[..., tuple[Suite, Store]], tmp_path: Path) -> None:
    sets = [{"name": name, "kind": "webdataset", "path": f"data/{name}"} for name in SIZES]
    suite, store = made(datasets=sets)
    path = tmp_path / "published.csv"
    head = "model,dataset,attack,eps,metric,value_percent,samples,threat,steps,paper,table"
    rows = ["FARE,cifar10,pgd,1/255,accuracy,50.0,1000,white-box,3,P,T"]
    path.write_text("\n".join([head, *rows]))
    (delta,) = with_published(read_results(suite, store), str(path), force=False).means
    assert delta.label.baseline == "P T"
    assert delta.second == 0.5
    assert delta.first is not None
    assert delta.value == pytest.approx(delta.first - 0.5)
    ours = mean_of([delta.first * 80], [80], anytime=False)
    assert delta.low is not None
    assert delta.low < ours.low - 0.5
    assert delta.real is None
    other = "FARE,cifar10,pgd,1/255,accuracy,50.0,1000,white-box,7,P,T"
    path.write_text("\n".join([head, *rows, other]))
    assert "1 published numbers have another protocol" in "\n".join(
        comparison_lines(with_published(read_results(suite, store), str(path), force=False))
    )
    path.write_text("\n".join([head, other]))
    with pytest.raises(UserError, match="steps: 7 published, 3"):
        with_published(read_results(suite, store), str(path), force=False)
    (delta,) = with_published(read_results(suite, store), str(path), force=True).means
    assert delta.label.differs == "steps: 7 published, 3"
    path.write_text("\n".join([head, rows[0].replace("cifar10", "pets")]))
    with pytest.raises(UserError, match="has no number for what suite small measured"):
        with_published(read_results(suite, store), str(path), force=False)


def pair(first: DatasetScores, second: DatasetScores) -> ScorePair:
    label = ComparisonLabel("A", "B", "white-box", "", "pgd", "1/255", "accuracy", "mean")
    return ScorePair(label, (first,), (second,))


def test_seeds_and_captions_count_their_images_once() -> None:
    ids = tuple(map(str, range(100)))
    worse, better = np.arange(100) < 50, np.arange(100) < 58
    one = pair(DatasetScores((worse,), ids, 100), DatasetScores((better,), ids, 100))
    two = pair(DatasetScores((worse, worse), ids, 100), DatasetScores((better, better), ids, 100))
    (single,), (seeds,) = differences_of([[one], [two]])
    assert (single.low, single.high) == pytest.approx((seeds.low, seeds.high))
    assert single.p == pytest.approx(2 / 2**8)  # McNemar's: eight images, all for the second
    captions = pair(
        DatasetScores(
            (np.repeat(worse, 5),), tuple(f"{i}#{j}" for i in ids for j in range(5)), 100
        ),
        DatasetScores(
            (np.repeat(better, 5),), tuple(f"{i}#{j}" for i in ids for j in range(5)), 100
        ),
    )
    ((of_captions,),) = differences_of([[captions]])
    assert of_captions.n == 500
    assert (of_captions.low, of_captions.high) == pytest.approx((single.low, single.high))
    assert differences_of([[], []]) == [[], []]


def test_the_command(made: Callable[..., tuple[Suite, Store]], tmp_path: Path) -> None:
    _, store = made(samples=100)
    suite, results = tmp_path / "suite.yaml", ("--results", store.folder.parent)
    done = call("compare", suite, *results, "--baseline", "FARE")
    assert done.returncode == 0, done.stderr
    assert "differences are real" in done.stdout
    assert "p (Holm)" not in done.stdout
    whole = call("compare", suite, *results, "--baseline", "FARE", "--all").stdout
    assert whole.startswith(done.stdout.partition("every difference")[0]) and "p (Holm)" in whole
    assert (store.folder / "compare.csv").exists()
    assert call("compare", suite, *results, "--with", store.folder).returncode == 0
    done = call("compare", suite, *results, "--baseline", "Nobody")
    assert done.returncode == 2
    assert "--baseline: got 'Nobody'" in done.stderr
    assert call("compare", suite, *results).returncode == 2
    done = call("compare", suite, *results, "--baseline", "FARE", "--with", store.folder)
    assert done.returncode == 2


def test_a_summary_counts_the_verdicts_of_each_model(
    made: Callable[..., tuple[Suite, Store]],
) -> None:
    suite, store = made(samples=100)
    found = with_baseline(read_results(suite, store), "FARE", force=False)
    rows = [dict(zip(SUMMARY, row, strict=True)) for row in summary_rows(found)]
    tested = [item for item in found.means if item.value is not None]
    for row in rows:
        own = [item for item in tested if item.label.model == row["model"]]
        better = sum(bool(item.real) and (item.value or 0) > 0 for item in own)
        assert (int(row["better"]), row["baseline"]) == (better, "FARE")
        assert sum(int(row[verdict]) for verdict in SUMMARY[2:]) == len(own) > 0
    assert any(int(row["better"]) + int(row["worse"]) for row in rows)


def test_nothing_found_says_so() -> None:
    assert not [*comparison_rows(ComparisonTables([])), *comparison_lines(ComparisonTables([]))]
