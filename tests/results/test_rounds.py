"""Which cells get more images until ranks are settled, on made-up outcomes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.commands.status import status_lines
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import ANYTIME, CellResult, unmeasured
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.plan.looks import looks
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.rounds import next_round
from bench.results.tables import Scored
from bench.share.merging import merge
from bench.store.results_folder import Store
from bench.store.snapshot import Results
from bench.suite.load import Suite

RATES = {"A": 0.6, "B": 0.54, "C": 0.3, "D": 0.1, "E": 0.1}  # white-box; D and E are equal
SIZES = {"cifar10": 1000, "digits": 700}


def suite_of(ranked: Any = "all") -> Suite:
    attacks = [{"kind": kind, "eps": ["1/255", "2/255"]} for kind in ("pgd", "apgd-ce")]
    nano = {"kind": "nano", "weights": "clip"}
    return Suite.model_validate(
        {
            "suite": "ranked",
            "protocol": {"preset": "radapt-paper", "pixels": "native"},
            "samples": {"most": 1000, "until": {"ranked": ranked}},
            "models": dict.fromkeys(RATES, nano),
            "datasets": list(SIZES),
            "attacks": attacks,
            "threats": ["white-box", {"transfer": "A"}],
        }
    )


def lock_of(suite: Suite) -> Lock:
    sets = {name: DatasetLock(name, tuple(map(str, range(n)))) for name, n in SIZES.items()}
    return Lock({name: name for name in suite.models}, sets, spec_digests(suite))


def outcomes(cell: Cell) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return whether each image is right; APGD breaks what PGD breaks, and more."""
    hard = np.random.default_rng(len(cell.dataset)).random((2, SIZES[cell.dataset]))
    own = np.random.default_rng(ord(cell.target)).random(SIZES[cell.dataset])
    rate = RATES[cell.target] if not cell.threat or not cell.threat.sources else 0.95
    if cell.attack is None:
        rate = 0.97
    elif cell.attack.kind == "pgd":
        rate = (1 + rate) / 2
    return np.where(own < 0.5, hard[0], own * 2 - 1) < rate


def computed(cell: Cell) -> CellResult:
    n = min(cell.ends[-1], SIZES[cell.dataset]) if cell.ends else SIZES[cell.dataset]
    ids, distance = tuple(map(str, range(n))), np.zeros(n, np.float32)
    flags = (ANYTIME,) if cell.ends else ()
    return CellResult(cell.id, "ok", outcomes(cell)[:n], ids, distance, 1, 1, {}, flags=flags)


def start(suite: Suite, folder: Path) -> Results:
    lock = lock_of(suite)
    cells = tuple(expand(suite, lock))
    clean = {cell.id: computed(cell) for cell in cells if not cell.attack}
    return Results(suite, Store(folder, suite.suite), lock, cells, clean)


def rounds(results: Results, failing: str = "") -> Iterator[tuple[list[Cell], Results]]:
    """Yield each round and the results after it; cells of the model `failing` fail."""
    failed: set[str] = set()
    while cells := next_round(results, failed):
        new = {cell.id: computed(cell) for cell in cells}
        broken = {cell.id for cell in cells if cell.target == failing}
        new |= {id_: unmeasured(id_, "failed", "why", 0, {}) for id_ in broken}
        failed |= broken
        results = replace(results, by_id={**results.by_id, **new})
        yield cells, results


def sizes(results: Results) -> dict[tuple[str, str, str], set[int]]:
    found: dict[tuple[str, str, str], set[int]] = {}
    for cell, result in results.cells_with_results:
        if cell.threat and result:
            key = (cell.target, cell.threat.kind, cell.dataset)
            found.setdefault(key, set()).add(len(result.correct))
    return found


def test_models_far_apart_stop_first_and_close_ones_go_on(tmp_path: Path) -> None:
    all_rounds = list(rounds(start(suite_of(), tmp_path)))
    first, last = all_rounds[0][0], all_rounds[-1][1]
    assert len(first) == len([cell for cell in last.cells if cell.attack])
    assert {cell.ends for cell in first} == {(64,)}
    assert all(len(n) == 1 for n in sizes(last).values())  # of all attacks and radii
    of = {key: max(n) for key, n in sizes(last).items()}
    for dataset in SIZES:
        white = {name: of[name, "white-box", dataset] for name in RATES}
        assert white["C"] < 200 < white["A"] == white["B"]
        assert white["D"] == white["E"] < SIZES[dataset]  # given up
        for name in RATES:  # transferred images count in white-box worst cases
            assert of[name, "transfer", dataset] >= white[name]
    # the smaller dataset is used whole, and the other up to the same look
    assert (of["A", "white-box", "digits"], of["A", "white-box", "cifar10"]) == (700, 768)
    for _, results in all_rounds:
        results.store.put_lock(results.lock)
        results.store.cells.put(list(results.by_id.values()))
        lines = "\n".join(status_lines(results.suite, results.store))
        assert ("ranks are not settled" in lines) == (results is not last)
    board = leaderboard(
        board_cells(last.suite, [Scored(*pair) for pair in last.cells_with_results])
    )
    rows = board[board["threat"] == "white-box"].set_index("model")
    assert rows.index.tolist()[:3] == ["A", "B", "C"]
    assert rows["rank"].tolist() == [1, 2, 3, 4, 4]  # A and B by the test of all images


def test_a_run_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = list(rounds(start(suite_of(), tmp_path)))
    rng = np.random.default_rng(0)
    assert len(whole) > 3
    for (cells, after), (_, before) in zip(whole[1:], whole, strict=False):
        done = [cell for cell in cells if rng.random() < 0.5]
        by_id = {**before.by_id, **{cell.id: after.by_id[cell.id] for cell in done}}
        left = next_round(replace(before, by_id=by_id))
        assert {cell.id for cell in left} == {cell.id for cell in cells} - {c.id for c in done}
        assert {cell.ends for cell in left} <= {cell.ends for cell in cells}
        *_, (_, end) = rounds(replace(before, by_id=by_id))
        assert sizes(end) == sizes(whole[-1][1])


def test_only_compared_models_go_on_and_have_ranks(tmp_path: Path) -> None:
    *_, (_, last) = rounds(start(suite_of(["A", "C"]), tmp_path))
    of = {key: max(n) for key, n in sizes(last).items()}
    assert {of[name, "white-box", "digits"] for name in "BDE"} == {64}
    board = leaderboard(
        board_cells(last.suite, [Scored(*pair) for pair in last.cells_with_results])
    )
    ranked = board[board["threat"] == "white-box"].set_index("model")["rank"].dropna()
    assert ranked.to_dict() == {"A": 1, "C": 2}


def test_a_model_that_fails_has_no_rank_and_holds_up_no_other(tmp_path: Path) -> None:
    *_, (_, last) = rounds(start(suite_of(), tmp_path), failing="B")
    of = {key: max(n) for key, n in sizes(last).items()}
    assert of["B", "white-box", "digits"] == 0
    assert of["A", "white-box", "digits"] < 200  # nothing close is left


def test_ids_name_the_table_and_parts_do_not(tmp_path: Path) -> None:
    def ids(ranked: Any) -> tuple[set[str], set[str]]:
        cells = [cell for cell in start(suite_of(ranked), tmp_path).cells if cell.attack]
        return {cell.id for cell in cells}, {cell.parts_id for cell in cells}

    (everything, parts), (two, same) = ids("all"), ids(["A", "B"])
    assert parts == same
    assert not everything & two
    assert ids(["B", "A"])[0] == two


@pytest.mark.parametrize("count", [1, 500, 512, 10_000])
def test_looks_grow_and_do_not_depend_on_how_many_images_there_are(count: int) -> None:
    found = looks(64, count)
    assert found == looks(64, 10**6)[: len(found)]
    assert found[-1] >= count
    assert all(before < count for before in found[:-1])


def test_a_merge_takes_the_more_images_of_two_unfinished_runs(tmp_path: Path) -> None:
    suite = suite_of()
    first, *_, last = [results for _, results in rounds(start(suite, tmp_path / "a"))]
    ours, theirs = Store(tmp_path / "ours", suite.suite), Store(tmp_path / "theirs", suite.suite)
    for store in (ours, theirs):
        store.put_lock(first.lock)
    behind = {cell.id for cell in first.cells if cell.target in "AB"}  # in our run
    for store, wanted in ((ours, behind), (theirs, set(first.by_id) - behind)):
        for key in first.by_id:
            results = first if key in wanted else last
            store.put(results.by_id[key].whole() or pytest.fail())
    merged = merge(suite, ours, theirs.folder)
    assert not merged.conflicts
    grown = {key for key in behind if first.by_id[key].size < last.by_id[key].size}
    assert grown
    assert merged.added == len(grown)
    assert {key: found.size for key, found in merged.results.by_id.items()} == {
        key: found.size for key, found in last.by_id.items()
    }
    assert not next_round(merged.results)
    other = last.by_id[min(grown)].whole() or pytest.fail()
    theirs.put(replace(other, correct=~other.correct))  # on as many images, with other outcomes
    again = merge(suite, ours, theirs.folder)
    assert [conflict.cell.id for conflict in again.conflicts] == [min(grown)]
