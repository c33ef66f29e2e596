"""Tables and pages from made-up results whose every number is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import load_results
from bench.core.resolved_names import DatasetLock, Lock, Remark
from bench.core.types import VERIFIED_FAMILY, CellResult
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.report.export import export
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.tables import CELL_COLUMNS, cells_frame, load_scored
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from tests.support.stored_cells import forget

N = 40
NANO = {"kind": "nano", "weights": "clip"}
SUITE = Suite.model_validate(
    {
        "suite": "made-up",
        "protocol": {"preset": "radapt-paper", "pixels": "native"},
        "samples": N,
        "models": {"A": NANO, "<b>B</b>": {**NANO, "weights": "fare"}},
        "datasets": ["cifar10", "digits"],
        "attacks": [
            {"kind": "pgd", "eps": ["1/255", "2/255"]},
            {"kind": "cw", "eps": "2/255"},
        ],
        "threats": ["white-box", {"transfer": "A"}],
    }
)
LOCK = Lock(
    {"A": "a", "<b>B</b>": "b"},
    {name: DatasetLock(name, tuple(map(str, range(N))), ("x",)) for name in ("cifar10", "digits")},
    spec_digests(SUITE),
)


def correct(cell: Cell) -> np.ndarray:  # type: ignore[type-arg]
    """Which images are right: an interval of positions, by model, attack and threat."""
    position = np.arange(N)
    if cell.attack is None:
        return position < 30
    if cell.target != "A":
        return position < 25
    if cell.threat is not None and cell.threat.source:
        return position >= 2  # transferred images break 0 and 1
    return position < 10 if cell.attack.kind == "pgd" else (position >= 5) & (position < 12)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path, SUITE.suite)
    store.put_lock(LOCK)
    for cell in expand(SUITE, LOCK):
        ids = LOCK.datasets[cell.dataset].sample_ids
        far = np.full(N, 0.001, np.float32)
        store.put(CellResult(cell.id, "ok", correct(cell), ids, far, 0.5, N, {"torch": "0"}))
    return store


def row(board: pd.DataFrame, model: str, threat: str) -> pd.Series:
    return board[(board["model"] == model) & (board["threat"] == threat)].iloc[0]


def test_leaderboard(store: Store) -> None:
    board = leaderboard(board_cells(SUITE, load_scored(read_results(SUITE, store))))
    assert list(board.columns) == [
        *("rank", "model", "threat", "source", "clean"),
        *("pgd@1/255", "pgd@2/255", "cw@2/255", "worst", "n", "datasets", "flags"),
    ]
    assert len(board) == 4
    white = row(board, "A", "white-box")
    assert white["clean"] == pytest.approx(30 / N)
    assert white["pgd@2/255"] == pytest.approx(10 / N)
    assert white["worst"] == pytest.approx(5 / N)  # positions 5 to 9 survive all three
    assert (white["n"], white["datasets"], white["flags"]) == (2 * N, 2, "")
    assert white["source"] == ""
    transfer = row(board, "A", "transfer")
    assert transfer["worst"] == pytest.approx(38 / N)
    assert transfer["flags"] == "source=target"
    assert row(board, "<b>B</b>", "white-box")["rank"] == 1
    assert white["rank"] == 2
    assert row(board, "<b>B</b>", "transfer")["rank"] == 2  # 25 of 40 against 38 of 40


def test_whoever_a_transferred_image_breaks_is_broken_white_box(store: Store) -> None:
    cells = expand(SUITE, LOCK)
    for cell in cells:
        if cell.target == "A" and cell.mode == "full" and cell.eps == "2/255":
            none = np.zeros(N, bool)
            ids = LOCK.datasets[cell.dataset].sample_ids
            store.put(CellResult(cell.id, "ok", none, ids, np.zeros(N, np.float32), 1, N, {}))
    board = leaderboard(board_cells(SUITE, load_scored(read_results(SUITE, store))))
    assert row(board, "A", "white-box")["worst"] == 0


@pytest.mark.parametrize("status", ["failed", "absent"])
def test_a_hole_is_never_averaged_over(store: Store, status: str) -> None:
    cell = next(
        cell
        for cell in expand(SUITE, LOCK)
        if cell.target == "A" and cell.dataset == "digits" and cell.eps == "2/255"
    )
    if status == "failed":
        empty = np.zeros(0)
        store.put(
            CellResult(
                cell.id, "failed", empty.astype(bool), (), empty.astype(np.float32), 1, 0, {}, "why"
            )
        )
    else:
        forget(store.folder, cell.id)
    board = export(read_results(SUITE, store))
    white = row(board, "A", "white-box")
    assert white["flags"] == "incomplete"
    assert pd.isna(white["pgd@2/255"])
    assert pd.isna(white["worst"])
    assert pd.isna(white["rank"])
    assert white["pgd@1/255"] == pytest.approx(10 / N)


def other_norm(tmp_path: Path, attacks: list[dict[str, object]]) -> tuple[Suite, Store]:
    """The made-up suite with other attacks, under which 20 of 40 images stay right."""
    suite = Suite.model_validate({**SUITE.model_dump(), "attacks": attacks})
    store = Store(tmp_path, suite.suite)
    store.put_lock(LOCK)
    half = np.arange(N) < 20
    for cell in expand(suite, LOCK):
        ids, far = LOCK.datasets[cell.dataset].sample_ids, np.full(N, 0.001, np.float32)
        store.put(CellResult(cell.id, "ok", half, ids, far, 0.5, N, {}, flags=("targets=3",)))
    return suite, store


def test_norms_are_named_and_worst_is_over_linf(tmp_path: Path) -> None:
    pgd: dict[str, object] = {"kind": "pgd", "eps": "2/255"}
    suite, store = other_norm(tmp_path, [pgd, {"kind": "pgd", "norm": "l2", "eps": 0.5}])
    for cell in expand(suite, LOCK):  # whatever L2 breaks, worst is as before
        if cell.attack is not None and cell.attack.norm == "l2":
            none, far = np.zeros(N, bool), np.zeros(N, np.float32)
            ids = LOCK.datasets[cell.dataset].sample_ids
            store.put(CellResult(cell.id, "ok", none, ids, far, 0.5, N, {}))
    board = export(read_results(suite, store))
    white = row(board, "A", "white-box")
    assert (white["pgd@2/255"], white["pgd-l2@0.5"], white["worst"]) == (0.5, 0.0, 0.5)
    cells = load_results(store.folder)
    assert set(cells[cells["eps"] == "0.5"]["norm"]) == {"L2"}
    assert set(cells[cells["eps"] == "2/255"]["norm"]) == {"Linf"}
    transfer = cells[(cells["threat"] == "transfer") & (cells["model"] == "A")]
    assert set(transfer[transfer["eps"] == "2/255"]["flags"]) == {"source=target targets=3"}


def test_a_row_says_that_an_untested_family_was_verified(tmp_path: Path) -> None:
    suite, store = other_norm(tmp_path, [{"kind": "pgd", "eps": "2/255"}])
    first = next(iter(expand(suite, LOCK)))
    found = store.get(first.id)
    assert found is not None
    store.put(replace(found, provenance={VERIFIED_FAMILY: "vipllava"}))
    cells = cells_frame(suite, load_scored(read_results(suite, store))).set_index("cell_id")
    flags = cells["flags"].str.contains("preprocessing=verified")
    assert list(flags[flags].index) == [first.id]


def test_without_linf_there_is_no_worst_and_nothing_is_missing(tmp_path: Path) -> None:
    suite, store = other_norm(tmp_path, [{"kind": "pgd", "norm": "l2", "eps": 0.5}])
    white = row(
        leaderboard(board_cells(suite, load_scored(read_results(suite, store)))), "A", "white-box"
    )
    assert pd.isna(white["worst"])
    assert (white["pgd-l2@0.5"], white["flags"]) == (0.5, "")


def test_cells_csv(store: Store) -> None:
    export(read_results(SUITE, store))
    frame = load_results(store.folder)
    assert tuple(frame.columns) == CELL_COLUMNS
    assert len(frame) == 2 * 2 * (1 + 3 * 2)
    clean = frame[frame["attack"] == "clean"]
    assert set(clean["threat"]) == set(clean["eps"]) == set(clean["source"]) == {""}
    attacked = frame[(frame["model"] == "A") & (frame["attack"] == "pgd")].iloc[0]
    assert (attacked["threat"], attacked["source"], attacked["norm"]) == ("white-box", "", "Linf")
    assert attacked["eps"] == "1/255"
    assert attacked["value"] == pytest.approx(0.25)
    assert attacked["ci_low"] < 0.25 < attacked["ci_high"]


def test_remarks_on_a_dataset_are_flags_of_its_rows(store: Store) -> None:
    """The cells keep their ids: the results of the lock without remarks are found."""
    read = Remark("files-not-read", "3 files <were> not read")
    digits = replace(LOCK.datasets["digits"], remarks=(read,))
    store.put_lock(replace(LOCK, datasets={**LOCK.datasets, "digits": digits}))
    board = export(read_results(SUITE, store))
    cells = load_results(store.folder)
    flagged = cells["flags"].str.contains("data=files-not-read")
    assert (flagged == (cells["dataset"] == "digits")).all()
    assert row(board, "A", "transfer")["flags"] == "source=target data=files-not-read"
    assert "digits: 3 files \\u003cwere\\u003e not read." in (
        (store.folder / "leaderboard.html").read_text()
    )
    entries = json.loads((store.folder / "manifest.json").read_text())
    named = {entry["dataset"] for entry in entries.values() if "remarks" in entry}
    assert named == {"digits"}


def test_cells_join_the_leaderboard(store: Store) -> None:
    board = export(read_results(SUITE, store))
    cells = load_results(store.folder)
    attacked = cells[cells["attack"] != "clean"]
    joined = attacked.merge(board, on=["model", "threat", "source"], validate="many_to_one")
    assert len(joined) == len(attacked)
    assert set(joined["source"]) == {"", "A"}


def test_page_names_threats_and_escapes_names(store: Store) -> None:
    export(read_results(SUITE, store))
    page = (store.folder / "leaderboard.html").read_text()
    assert "&lt;b&gt;B&lt;/b&gt;" in page
    assert "<b>B</b>" not in page
    assert "white-box" in page
    assert "transfer" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "12.5" in page  # the worst case of A, white-box


def test_reexport_is_the_same_to_the_byte(store: Store) -> None:
    export(read_results(SUITE, store))
    first = {path.name: path.read_bytes() for path in store.folder.iterdir() if path.is_file()}
    export(read_results(SUITE, store))
    assert first == {p.name: p.read_bytes() for p in store.folder.iterdir() if p.is_file()}


def test_an_edited_suite_does_not_inherit_numbers(store: Store) -> None:
    edited = SUITE.model_copy(update={"samples": N + 1})
    assert all(item.result is None for item in load_scored(read_results(edited, store)))
    assert all(item.result is not None for item in load_scored(read_results(SUITE, store)))


@pytest.fixture
def seeded(tmp_path: Path) -> tuple[Suite, Store]:
    """One attack with two seeds, which leave images 0 to 19 right, and 10 to 33."""
    changes = {"attacks": [{"kind": "pgd", "eps": "2/255"}], "threats": ["white-box"]}
    suite = Suite.model_validate({**SUITE.model_dump(), **changes, "seeds": [7, 8]})
    store = Store(tmp_path, suite.suite)
    store.put_lock(LOCK)
    position, far = np.arange(N), np.zeros(N, np.float32)
    left = {7: position < 20, 8: (position >= 10) & (position < 34)}
    for cell in expand(suite, LOCK):
        right = position < 36 if cell.attack is None else left[cell.seed]
        ids = LOCK.datasets[cell.dataset].sample_ids
        store.put(CellResult(cell.id, "ok", right, ids, far, 0.5, N, {}))
    return suite, store


def test_seeds_are_averaged_with_their_spread_and_worst_is_over_all(
    seeded: tuple[Suite, Store],
) -> None:
    suite, store = seeded
    board = export(read_results(suite, store))
    assert list(board.columns)[-3:] == ["datasets", "flags", "pgd@2/255 spread"]
    white = row(board, "A", "white-box")
    assert white["clean"] == 36 / N
    assert white["pgd@2/255"] == pytest.approx(22 / N)
    assert white["pgd@2/255 spread"] == pytest.approx(4 / N)
    assert white["worst"] == pytest.approx(10 / N)
    cells = load_results(store.folder)
    assert list(cells.columns)[-1] == "seed"
    attacked = cells[cells["attack"] == "pgd"].groupby("seed")["value"].mean()
    assert attacked.to_dict() == {7: 20 / N, 8: 24 / N}
    assert cells[cells["attack"] == "clean"]["seed"].isna().all()


def test_a_seed_without_a_number_leaves_the_mean_blank(seeded: tuple[Suite, Store]) -> None:
    suite, store = seeded
    cell = next(cell for cell in expand(suite, LOCK) if cell.target == "A" and cell.seed == 8)
    forget(store.folder, cell.id)
    white = row(
        leaderboard(board_cells(suite, load_scored(read_results(suite, store)))), "A", "white-box"
    )
    assert white["flags"] == "incomplete"
    assert white[["pgd@2/255", "pgd@2/255 spread", "worst"]].isna().all()
