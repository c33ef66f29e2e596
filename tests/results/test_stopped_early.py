"""Rows of cells that stop early beside those of images made by others, which never do."""

from pathlib import Path

import numpy as np
import pytest

from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import ANYTIME, CellResult
from bench.plan.cells import expand
from bench.plan.identity import spec_digests
from bench.report.export.leaderboard_values import boards
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.per_class import worst_case
from bench.results.tables import load_scored
from bench.share.formats.every_eval_ever import files
from bench.share.shared_numbers import shared_results
from bench.stats import rate_interval
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import Suite

MOST, STOPPED = 40, 24
SUITE = Suite.model_validate(
    {
        "suite": "early",
        "protocol": {"preset": "radapt-paper", "pixels": "native"},
        "samples": {"most": MOST, "until": {"width": 0.5}},
        "models": {name: {"kind": "nano", "weights": name.lower()} for name in ("CLIP", "FARE")},
        "datasets": ["digits"],
        "attacks": [
            {"kind": "pgd", "eps": "2/255"},
            {"kind": "images", "name": "given", "eps": "2/255", "path": "given.npz"},
        ],
        "threats": ["white-box"],
    }
)
IDS = tuple(map(str, range(MOST)))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    store = Store(tmp_path, SUITE.suite)
    locked = {"digits": DatasetLock("digits", IDS, ("x",))}
    store.put_lock(Lock(dict.fromkeys(SUITE.models, "m"), locked, spec_digests(SUITE)))
    for cell in expand(SUITE, store.lock()):
        early = cell.width is not None
        n = STOPPED if early else MOST
        store.put(
            CellResult(
                cell.id, "ok", np.arange(n) % 3 > 0, IDS[:n], np.zeros(n, np.float32), 1.0, n, {},
                flags=(ANYTIME,) if early else (),
            )
        )  # fmt: skip
    return read_results(SUITE, store)


def test_only_cells_that_stopped_have_confidence_sequences(results: Results) -> None:
    scored = load_scored(results)
    rows = {
        (row.model, row.threat): row.rates
        for row in boards(board_cells(SUITE, scored), leaderboard(board_cells(SUITE, scored)))[""]
    }

    def bounds(n: int, anytime: bool) -> tuple[float, float]:
        return rate_interval(float(np.sum(np.arange(n) % 3 > 0)), n, anytime=anytime)

    for model in SUITE.models:
        expected = {
            ("white-box", "pgd@2/255"): bounds(STOPPED, True),
            ("white-box", "worst"): bounds(STOPPED, True),  # a white-box attacker has all images
            ("external", "given@2/255"): bounds(MOST, False),
            ("external", "worst"): bounds(MOST, False),
        }
        for (threat, name), interval in expected.items():
            rate = rows[model, threat][name]
            assert rate is not None
            assert (rate.low, rate.high) == pytest.approx(interval), (model, threat, name)
    worst = worst_case(SUITE, results.store.folder.parent).set_index(["model", "threat"])
    for model in SUITE.models:
        assert worst.loc[(model, "white-box"), "flags"] == ANYTIME
        assert worst.loc[(model, "external"), "flags"] == ""
        row = worst.loc[(model, "external")]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(bounds(MOST, False))


def test_shared_numbers_name_the_method_of_their_interval(results: Results) -> None:
    shared = shared_results(results)
    early = {(n.threat, n.attack): n.anytime for n in shared.of_model("CLIP")}
    assert early == {
        ("", "clean"): False,
        ("white-box", "pgd"): True,
        ("white-box", "worst"): True,
        ("external", "given"): False,
        ("external", "worst"): False,
    }
    _, text = next(files(shared))
    assert text.count('"method": "confidence sequence by betting') == 2
    assert text.count('"method": "Wilson score"') == 3
