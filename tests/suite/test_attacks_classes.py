"""What attacks do where a dataset has few classes, and where others are scored on their images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import load_results
from bench.attacks import build_attack
from bench.core.errors import CellSkip
from bench.core.types import Budget, Mode
from bench.plan.attack_limits import fit
from bench.run.suite_run import run_suite
from bench.suite.load import load_suite
from bench.suite.specs import AnyAttack, ApgdDlr, ApgdT, Ensemble, PyAutoAttack, TorchAttacks
from tests.conftest import LinearModel, grey_images

EPS = ("0",)
COUNTS = pytest.mark.parametrize("classes", [2, 3, 4, 10, 100])


def official(attack: Any, **settings: Any) -> PyAutoAttack:
    return PyAutoAttack(kind="pyautoattack", eps=EPS, attack=attack, **settings)


def library(attack: str, **args: Any) -> TorchAttacks:
    return TorchAttacks(kind="torchattacks", eps=EPS, attack=attack, args=args)


FARE = Ensemble.model_validate(
    {"kind": "ensemble", "eps": EPS, "attacks": [{"kind": "apgd-ce"}, {"kind": "apgd-t"}]}
)
DLR = ApgdDlr(kind="apgd-dlr", eps=EPS)
T = ApgdT(kind="apgd-t", eps=EPS)


def outcome(spec: AnyAttack, classes: int, mode: Mode = "success") -> tuple[str, ...] | str:
    try:
        return fit(spec, classes, mode)[1]
    except CellSkip as skip:
        return str(skip)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (DLR, ["needs at least 3 classes; this dataset has 2", (), (), (), ()]),
        (T, ["at least 4", "at least 4 classes; this dataset has 3", ("targets=3",), (), ()]),
        (FARE, [("without=apgd-t",)] * 2 + [("targets=3",), (), ()]),
        (
            official("standard"),
            [("without=apgd-t", f"targets={n - 1}") for n in (2, 3)] + [("targets=3",), (), ()],
        ),
        (official("rand"), [("without=apgd-dlr",), (), (), (), ()]),
        (official("apgd-t"), ["at least 4", "at least 4", ("targets=3",), (), ()]),
        (official("fab-t"), [(f"targets={n - 1}",) for n in (2, 3, 4)] + [(), ()]),
        (library("APGDT"), ["at least 4", "at least 4", ("targets=3",), (), ()]),
        (library("APGD", loss="dlr"), ["needs at least 3 classes", (), (), (), ()]),
        (library("FAB"), [(f"targets={n - 1}",) for n in (2, 3, 4)] + [(), ()]),
        (library("PGD"), [(), (), (), (), ()]),
    ],
)
def test_few_classes_cap_leave_out_or_skip(
    spec: AnyAttack, expected: list[tuple[str, ...] | str]
) -> None:
    for classes, wanted in zip((2, 3, 4, 10, 100), expected, strict=True):
        found = outcome(spec, classes)
        if isinstance(wanted, str):
            assert wanted in found
        else:
            assert found == wanted


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (official("fab"), "fab returns the smallest perturbation it finds"),
        (official("fab-t"), "its images are too weak to score other models on"),
        (official("standard"), ("without=fab-t",)),
        (official("square"), ()),
        (library("APGD"), "torchattacks' APGD returns the clean image if it fails"),
        (library("Square"), "torchattacks' Square returns"),
        (library("MIFGSM"), ()),
        (FARE, ()),
    ],
)
def test_crafts_for_others_skip_what_hands_back_clean_images(
    spec: AnyAttack, expected: tuple[str, ...] | str
) -> None:
    found = outcome(spec, 10, "full")
    assert expected in found if isinstance(expected, str) else found == expected


@COUNTS
@pytest.mark.parametrize("mode", ["success", "full"])
@pytest.mark.parametrize(
    "spec",
    [
        FARE.model_copy(
            update={"attacks": tuple(a.model_copy(update={"steps": 3}) for a in FARE.attacks)}
        ),
        DLR.model_copy(update={"steps": 3}),
        T.model_copy(update={"steps": 3}),
        official(["apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square"], steps=3, queries=5),
        library("APGDT", steps=2),
    ],
    ids=["fare", "apgd-dlr", "apgd-t", "official", "APGDT"],
)
def test_what_is_left_runs(spec: AnyAttack, mode: Mode, classes: int) -> None:
    model, images = LinearModel(classes=classes), grey_images(6)
    labels = model(images).argmax(dim=1)
    try:
        fitted, _ = fit(spec, classes, mode)
    except CellSkip:
        return
    attack = build_attack(fitted, batch=4)
    budget = Budget(3 * float(model.smallest_eps(images).max()))
    found = attack(model, images, labels, budget, mode=mode, seeds=range(6))
    assert bool((model(found).argmax(dim=1) != labels).all())


def test_a_skip_is_a_row_and_no_failure(
    suite_file: Callable[..., Path], dataset: Callable[..., Path], tmp_path: Path
) -> None:
    few = {"kind": "webdataset", "name": "two", "path": str(dataset(classes=2, count=6))}
    both = [{"kind": kind, "steps": 2} for kind in ("apgd-ce", "apgd-t")]
    attacks = [
        {"kind": "apgd-dlr", "eps": "1/255", "steps": 2},
        {"kind": "pgd", "eps": "1/255", "steps": 1},
        {"kind": "ensemble", "name": "both", "eps": "1/255", "attacks": both},
        {"kind": "pyautoattack", "name": "FAB", "attack": "fab", "eps": "1/255", "steps": 1},
    ]
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    changes = {"models": models, "attacks": attacks, "datasets": [few], "samples": 6}
    suite = load_suite(suite_file(**changes))
    report = run_suite(suite, results=tmp_path / "results")
    assert report.failed == 0
    frame = load_results(report.folder).set_index(["threat", "attack"])
    skipped = frame.loc[("white-box", "apgd-dlr")]
    assert skipped["status"] == "skip"
    assert skipped["reason"] == "apgd-dlr needs at least 3 classes; this dataset has 2"
    assert frame.loc[("transfer", "FAB"), "status"] == "skip"
    assert frame.loc[("white-box", "FAB"), "status"] == "ok"
    assert frame.loc[("white-box", "both"), "flags"] == "without=apgd-t"
    assert frame.loc[("transfer", "both"), "flags"] == "source=target without=apgd-t"
    assert frame.loc[("white-box", "pgd"), "status"] == "ok"
    board = report.board.set_index("threat")
    assert pd.isna(board.loc["white-box", "apgd-dlr@1/255"])
    assert board.loc["white-box", "flags"] == "skipped"
    assert 0 <= board.loc["white-box", "worst"] <= board.loc["white-box", "pgd@1/255"]
    assert run_suite(suite, results=tmp_path / "results").computed == 0  # a skip is not retried
