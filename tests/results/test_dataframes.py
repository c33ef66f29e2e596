"""Tables for notebooks, from made-up results whose every number is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import load_results, per_class, pivot, trade_off, worst_case
from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.report.export import export
from bench.stats import wilson
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite, load_suite

N = 12  # images of the fixture's dataset, whose classes are 0, 1, 2, 0, 1, 2 ...
Made = tuple[Suite, Store, pd.DataFrame]


@pytest.fixture
def made(
    suite_file: Callable[..., Path], dataset: Callable[..., Path], tmp_path: Path
) -> Callable[..., Made]:
    """Return a maker of a stored suite of two datasets; `right` says which images are right."""

    def make(right: Callable[..., np.ndarray], **changes: object) -> Made:  # type: ignore[type-arg]
        folders = [
            {"name": name, "kind": "webdataset", "path": str(dataset(name, size=size))}
            for name, size in (("a", 32), ("b", 16))
        ]
        attacks = [{"kind": "pgd", "eps": ["1/255", "2/255"]}, {"kind": "cw", "eps": "2/255"}]
        suite = load_suite(
            suite_file(**{"datasets": folders, "samples": N, "attacks": attacks, **changes})
        )
        store = Store(tmp_path / "results", suite.suite)
        lock, problems = resolve(suite)
        assert not problems
        store.put_lock(lock)
        for cell in expand(suite, lock):
            ids, far = lock.datasets[cell.dataset].sample_ids, np.zeros(N, np.float32)
            store.put(CellResult(cell.id, "ok", right(cell), ids, far, 0.5, N, {}))
        export(read_results(suite, store))
        return suite, store, load_results(store.folder)

    return make


def by_position(cell) -> np.ndarray:  # type: ignore[no-untyped-def,type-arg]
    """Clean 10 right of a's images, 8 of b's; attacked half of them from the front; C&W others."""
    position, clean = np.arange(N), 10 if cell.dataset == "a" else 8
    if cell.attack is None:
        return position < clean
    start = 2 if cell.attack.kind == "cw" else 0
    return (position >= start) & (position < start + clean // 2)


def test_pivot(made: Callable[..., Made]) -> None:
    _, _, results = made(by_position)
    table = pivot(results)
    assert list(table.columns) == ["clean", "pgd@1/255", "pgd@2/255", "cw@2/255"]
    assert table.index.names == ["threat", "source", "model", "dataset"]
    assert list(table.index[:3]) == [
        ("white-box", "", "CLIP", "a"),
        ("white-box", "", "CLIP", "b"),
        ("white-box", "", "FARE", "a"),
    ]
    assert len(table) == 2 * 3 * 2
    assert table.loc[("transfer", "CLIP", "FARE", "b")].tolist() == pytest.approx(
        [8 / N, 4 / N, 4 / N, 4 / N]
    )


def test_trade_off(made: Callable[..., Made]) -> None:
    suite, store, results = made(by_position)
    table = trade_off(pd.concat([results, worst_case(suite, store.folder.parent)]))
    assert len(table) == 2 * 3 * 4
    found = table.set_index(["threat", "model", "attack"]).loc[("white-box", "FARE", "cw@2/255")]
    assert found["clean"] == pytest.approx((10 + 8) / (2 * N))
    assert found["robust"] == pytest.approx((5 + 4) / (2 * N))
    assert found["robust_low"] < found["robust"] < found["robust_high"]
    assert (found["n"], found["datasets"]) == (2 * N, 2)
    # the datasets tell more than either alone, and not more than all of their images as one
    assert found["robust_low"] == pytest.approx(wilson(9, 2 * N)[0], abs=0.01)
    worst = table.set_index(["threat", "model", "attack"]).loc[("white-box", "CLIP", "worst@2/255")]
    assert worst["robust"] == pytest.approx((3 + 2) / (2 * N))  # positions 2 to 4, and 2 to 3


def test_no_mean_over_fewer_datasets_or_seeds(made: Callable[..., Made]) -> None:
    suite, store, _ = made(by_position, seeds=[0, 1], threats=["white-box"])
    cell = next(
        cell
        for cell in expand(suite, store.lock())
        if cell.target == "FARE" and cell.dataset == "b" and cell.seed == 1
    )
    nothing = np.zeros(0)
    far = nothing.astype(np.float32)
    store.put(CellResult(cell.id, "failed", nothing.astype(bool), (), far, 0.1, 0, {}, "why"))
    export(read_results(suite, store))
    results = load_results(store.folder)
    trade = trade_off(results).set_index(["model", "attack"])
    assert np.isnan(trade.loc[("FARE", "pgd@1/255"), "robust"])
    assert trade.loc[("FARE", "pgd@2/255"), "robust"] == pytest.approx(9 / (2 * N))
    # both seeds are on the same images, which count once
    assert trade.loc[("FARE", "pgd@2/255"), "n"] == 2 * N
    table = pivot(results)
    assert np.isnan(table.loc[("white-box", "", "FARE", "b"), "pgd@1/255"])
    assert table.loc[("white-box", "", "FARE", "a"), "pgd@1/255"] == pytest.approx(5 / N)


def test_without_attacks_there_is_a_clean_column(made: Callable[..., Made]) -> None:
    _, _, results = made(by_position, attacks=None, threats=None)
    table = pivot(results)
    assert table.loc[("", "", "CLIP", "a")].tolist() == pytest.approx([10 / N])
    assert list(table.columns) == ["clean"]


def test_an_unknown_metric_is_told(made: Callable[..., Made]) -> None:
    _, _, results = made(by_position)
    with pytest.raises(ValueError, match=r"got 'recall'; allowed: accuracy"):
        pivot(results, "recall")


def test_worst_case(made: Callable[..., Made]) -> None:
    suite, store, results = made(by_position)
    worst = worst_case(suite, store.folder.parent)
    assert set(worst.columns) <= set(results.columns)
    assert len(worst) == 2 * 3 * 2
    row = worst[(worst["model"] == "CLIP") & (worst["dataset"] == "a")].iloc[0]
    assert (row["attack"], row["norm"], row["eps"], row["n"]) == ("worst", "Linf", "2/255", N)
    assert row["value"] == pytest.approx(3 / N)
    assert (row["ci_low"], row["ci_high"]) == wilson(3, N)


def test_per_class(made: Callable[..., Made]) -> None:
    suite, store, results = made(by_position)
    table = per_class(suite, store.folder.parent)
    assert len(table) == 3 * len(results)
    clean = table[(table["attack"] == "clean") & (table["model"] == "CLIP")]
    of_a = clean[clean["dataset"] == "a"].set_index("class")
    assert of_a["n"].to_dict() == {"thing 0": 4, "thing 1": 4, "thing 2": 4}
    # positions 0 to 9 are right: of classes 0, 1, 2 in turn four, three, three
    assert of_a["value"].to_dict() == {"thing 0": 1, "thing 1": 0.75, "thing 2": 0.75}
    assert (of_a["ci_low"].iloc[1], of_a["ci_high"].iloc[1]) == wilson(3, 4)
    by_cell = table.assign(right=table["value"] * table["n"]).groupby("cell_id")["right"].sum()
    whole = (results["value"] * results["n"]).set_axis(results["cell_id"])
    assert by_cell.sort_index().to_numpy() == pytest.approx(whole.sort_index().to_numpy(), abs=1e-4)


def test_classes_of_the_same_name_stay_apart(made: Callable[..., Made], tmp_path: Path) -> None:
    suite, store, _ = made(by_position)
    lock = store.lock()
    (tmp_path / "a" / "classnames.txt").write_text("crane\nboat\ncrane\n")
    relabelled, _ = resolve(suite)
    assert relabelled.datasets["a"].fingerprint == lock.datasets["a"].fingerprint
    store.put_lock(relabelled)
    for cell in expand(suite, relabelled):
        ids, far = relabelled.datasets[cell.dataset].sample_ids, np.zeros(N, np.float32)
        store.put(CellResult(cell.id, "ok", by_position(cell), ids, far, 0.5, N, {}))
    table = per_class(suite, store.folder.parent)
    first = table[(table["dataset"] == "a") & (table["attack"] == "clean")].iloc[:3]
    assert first["class"].tolist() == ["crane", "boat", "crane"]
    assert first["label"].tolist() == [0, 1, 2]


def test_labels_of_other_images_are_not_taken(made: Callable[..., Made], tmp_path: Path) -> None:
    suite, store, _ = made(by_position)
    shard = tmp_path / "a" / "test" / "0.tar"
    shard.write_bytes((tmp_path / "b" / "test" / "1.tar").read_bytes())
    with pytest.raises(UserError, match=r"datasets\.a: accuracy per class needs its labels"):
        per_class(suite, store.folder.parent)
