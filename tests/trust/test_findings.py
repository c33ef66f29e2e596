"""Findings: when they are some, whose they are, how they are kept, and where they are shown."""

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import load_results
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.plan.identity import spec_digests
from bench.report.export import export
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite, load_suite
from bench.trust.battery import CHECKS
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined, Finding
from bench.trust.findings_table import summary_lines, trust_lines
from bench.trust.reported_number import reported_numbers
from bench.trust.significance import (
    accuracy_drop,
    binomial_tail,
    count_verdict,
    fisher_exact,
    verdict_of,
)
from bench.trust.stored_findings import findings_and_todo, save_findings, trust_id
from tests.commands.test_cli import call

Write = Callable[..., Path]
N = 20


def of(right: int, n: int = N) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    return np.arange(n) < right


def test_exact_tests_have_their_known_values() -> None:
    assert fisher_exact(of(3, 4), of(1, 4)) == pytest.approx(17 / 70)  # Fisher's lady tasting tea
    assert fisher_exact(of(1, 4), of(3, 4)) == pytest.approx(69 / 70)
    assert binomial_tail(8, 10, 0.5) == pytest.approx(56 / 1024)
    for count, images, chance in product((0, 1, 5, 16), (16, 128), (0.02, 0.5, 0.9)):
        ways = (
            comb(images, k) * Fraction(chance) ** k * (1 - Fraction(chance)) ** (images - k)
            for k in range(count, images + 1)
        )
        expected = pytest.approx(float(sum(ways)), rel=1e-12)
        assert binomial_tail(count, images, chance) == expected
    assert accuracy_drop(of(15), of(5)) == (0.5, 2.0**-10)
    assert accuracy_drop(of(5), of(15)) == (-0.5, 1.0)
    assert accuracy_drop(of(5), of(5)) == (0.0, 1.0)


def test_one_image_is_no_finding_and_many_are() -> None:
    verdicts = [
        verdict_of(p, drop) for drop, p in (accuracy_drop(of(20), of(20 - k)) for k in range(12))
    ]
    assert verdicts == [*["pass"] * 7, *["warn"] * 3, *["fail"] * 2]
    drop, p = accuracy_drop(of(1000, 1000), of(980, 1000))
    assert verdict_of(p, drop) == "warn"  # sure, and small
    assert [count_verdict(k, 20, 0.02)[0] for k in (0, 1, 2, 3, 4)] == ["pass"] * 3 + [
        "warn",
        "fail",
    ]


def test_every_check_has_a_meaning() -> None:
    assert set(CHECKS) == set(EXPLANATIONS)
    docs = (Path(__file__).parents[2] / "docs" / "trust.md").read_text("utf-8")
    assert not [name for name in CHECKS if f"| `{name}` |" not in docs]


@pytest.fixture
def done(suite_file: Write, tmp_path: Path) -> tuple[Suite, Store]:
    """Return a suite that has run: so many images stand, by target, source and radius."""
    suite = load_suite(suite_file(datasets=["cifar10", "digits"]))
    sets = {d.name: DatasetLock(d.name, tuple(map(str, range(N)))) for d in suite.datasets}
    lock = Lock({name: name for name in suite.models}, sets, spec_digests(suite))
    store = Store(tmp_path / "results", suite.suite)
    store.put_lock(lock)
    for cell in expand(suite, lock):
        stand = 18 if cell.attack is None else 12 if cell.source != cell.target else 8
        if cell.attack is not None and cell.attack.kind == "apgd-ce":
            stand -= 7 if cell.target == "CLIP" else 1
        far = np.full(N, 0.01, np.float32)
        store.put(CellResult(cell.id, "ok", of(stand), sets["digits"].sample_ids, far, 1.0, N, {}))
    return suite, store


def test_the_number_is_of_all_white_box_attacks_where_something_stands(
    done: tuple[Suite, Store],
) -> None:
    suite, store = done
    numbers = reported_numbers((cell, store.get(cell.id)) for cell in expand(suite, store.lock()))
    assert len(numbers) == 6
    fare = numbers["FARE", "cifar10"]
    assert (fare.eps, fare.reported.attack, fare.reported.steps) == ("2/255", "pgd, apgd-ce", 5)
    assert fare.reported.robust.sum() == 7
    assert not fare.reported.transferred
    clip = numbers["CLIP", "cifar10"]  # one image stands at 2/255: nothing there to doubt
    assert (clip.eps, clip.reported.attack, clip.reported.robust.sum()) == ("1/255", "pgd", 8)


def test_transferred_numbers_are_judged_where_there_are_no_others(
    suite_file: Write, tmp_path: Path
) -> None:
    suite = load_suite(suite_file(threats=[{"transfer": "CLIP"}]))
    result = CellResult("", "ok", of(9), (), np.zeros(N, np.float32), 1.0, N, {})
    numbers = reported_numbers((cell, result) for cell in expand(suite, Lock()))
    assert numbers["FARE", "cifar10"].reported.transferred
    assert "transferred from CLIP" in numbers["FARE", "cifar10"].reported.attack
    assert not numbers["CLIP", "cifar10"].reported.transferred  # its own images


def keep_some(suite: Suite, store: Store, deep: bool, *findings: Finding) -> Path:
    _, todo = findings_and_todo(read_results(suite, store), deep=True)
    number = todo["FARE", "cifar10"]
    key = trust_id(suite, store.lock(), ("FARE", "cifar10"), number, deep)
    save_findings(
        store, key, Examined("FARE", "cifar10", number.eps, "pgd", 20, deep, 1.0, findings)
    )
    return store.folder / "trust" / f"{key}.json"


def keep_one(suite: Suite, store: Store, deep: bool, *findings: Finding) -> Path:
    """Keep findings, and that all other checks passed."""
    others = EXPLANATIONS.keys() - {found.check for found in findings}
    return keep_some(suite, store, deep, *findings, *(Finding(n, "pass", "") for n in others))


def bad(record: Examined) -> list[Finding]:
    return [found for found in record.findings if found.verdict != "pass"]


SQUARE = Finding("square", "fail", "breaks 12", {"stand": 3.0})
NOISE = Finding("noise", "warn", "breaks 7")


def test_findings_are_flags_of_attacked_rows(done: tuple[Suite, Store]) -> None:
    suite, store = done
    keep_one(suite, store, False, NOISE, SQUARE, Finding("box", "pass", ""))
    board = export(read_results(suite, store))
    cells = load_results(store.folder)
    flagged = cells[cells["flags"].str.contains("untrusted=square doubt=noise")]
    assert set(zip(flagged["model"], flagged["dataset"], strict=True)) == {("FARE", "cifar10")}
    assert len(flagged) == 6  # both threats, three attacked cells each
    assert "clean" not in set(flagged["attack"])
    shown = board[board["flags"].str.contains("untrusted=square doubt=noise")]
    assert set(shown["model"]) == {"FARE"}
    entries = json.loads((store.folder / "manifest.json").read_text())
    assert entries[flagged["cell_id"].iloc[0]]["trust"] == ["untrusted=square", "doubt=noise"]


def test_what_is_kept_is_not_examined_again_unless_deeper(done: tuple[Suite, Store]) -> None:
    suite, store = done
    pair = ("FARE", "cifar10")
    path = keep_one(suite, store, False, SQUARE)
    found, todo = findings_and_todo(read_results(suite, store), deep=False)
    assert bad(found[pair]) == [SQUARE]
    assert len(todo) == 5
    assert pair in findings_and_todo(read_results(suite, store), deep=True)[1]
    keep_one(suite, store, True, NOISE)
    assert pair not in findings_and_todo(read_results(suite, store), deep=True)[1]
    assert bad(findings_and_todo(read_results(suite, store), deep=False)[0][pair]) == [NOISE]
    for kept in path.parent.iterdir():
        kept.write_text(kept.read_text()[:-20])  # damaged
    assert findings_and_todo(read_results(suite, store), deep=False)[0] == {}


def test_what_was_broken_off_is_gone_on_with(done: tuple[Suite, Store]) -> None:
    suite, store = done
    pair = ("FARE", "cifar10")
    keep_some(suite, store, False, SQUARE, NOISE)
    found, todo = findings_and_todo(read_results(suite, store), deep=False)
    assert pair in todo
    assert found[pair].not_done == len(EXPLANATIONS) - 2
    assert f"1 fail, 1 warn, {len(EXPLANATIONS) - 2} not done" in "\n".join(trust_lines(found))


def test_findings_are_of_each_check_the_deepest(done: tuple[Suite, Store]) -> None:
    suite, store = done
    pair = ("FARE", "cifar10")
    keep_one(suite, store, False, NOISE)
    keep_some(suite, store, True, Finding("noise", "pass", "breaks none"), SQUARE)  # broken off
    found, todo = findings_and_todo(read_results(suite, store), deep=False)
    assert bad(found[pair]) == [SQUARE]
    assert (found[pair].not_done, found[pair].deep, pair in todo) == (0, False, False)
    assert pair in findings_and_todo(read_results(suite, store), deep=True)[1]
    board = export(read_results(suite, store))
    assert board["flags"].str.contains("untrusted=square").any()

    keep_some(suite, store, False, *(Finding(n, "pass", "") for n in EXPLANATIONS if n != "square"))
    found, todo = findings_and_todo(read_results(suite, store), deep=False)
    assert (bad(found[pair]), found[pair].not_done, pair in todo) == ([SQUARE], 0, False)
    keep_some(suite, store, False, NOISE)
    found, todo = findings_and_todo(read_results(suite, store), deep=False)
    assert (found[pair].not_done, pair in todo) == (len(EXPLANATIONS) - 2, True)


@pytest.mark.parametrize("name", ["FARE", "CLIP"])  # the model, and one to transfer from
def test_findings_are_of_what_they_were_made_of(done: tuple[Suite, Store], name: str) -> None:
    suite, store = done
    keep_one(suite, store, False, SQUARE)
    lock = store.lock()
    store.put_lock(replace(lock, models={**lock.models, name: "other weights"}))
    assert ("FARE", "cifar10") not in findings_and_todo(read_results(suite, store), deep=False)[0]


def test_the_table_tells_evidence_and_meaning(done: tuple[Suite, Store]) -> None:
    suite, store = done
    keep_one(suite, store, False, SQUARE, NOISE, Finding("box", "pass", "nothing"))
    text = "\n".join(trust_lines(findings_and_todo(read_results(suite, store), deep=False)[0]))
    counts = f"1 fail, 1 warn, {len(EXPLANATIONS) - 2} pass\n"
    assert f"FARE x cifar10 at 2/255, pgd, cheap, 20 images: {counts}" in text
    assert "fail  square" in text and "breaks 12" in text and "nothing" not in text


def test_the_summary_counts_and_explains_and_names_few_models() -> None:
    examined = {
        (f"M{place}", "digits"): Examined(
            *(f"M{place}", "digits", "1/255", "pgd", 20, False, 1.0),
            (SQUARE, Finding("box", "pass", "nothing")) if place else (NOISE,),
        )
        for place in range(6)
    }
    counts, fail, warn, *explained = summary_lines(examined)
    not_done = 6 * len(EXPLANATIONS) - 11
    assert counts == f"6 robust numbers examined: 5 fail, 1 warn, 5 pass, {not_done} not done"
    assert fail.split(maxsplit=2)[1:] == [
        "square",
        "M1 x digits, M2 x digits, M3 x digits and 2 more",
    ]
    assert warn.split(maxsplit=2) == ["warn", "noise", "M0 x digits"]
    assert [line.partition(":")[0] for line in explained] == ["noise", "square", ""]


def test_a_check_that_is_no_more_found_nothing(done: tuple[Suite, Store]) -> None:
    suite, store = done
    keep_one(suite, store, False, Finding("bygone", "fail", "breaks 9"), NOISE)
    found, todo = findings_and_todo(read_results(suite, store), deep=False)
    assert bad(found["FARE", "cifar10"]) == [NOISE]
    assert ("FARE", "cifar10") not in todo
    assert "bygone" not in "\n".join(trust_lines(found))


def one_model(suite_file: Write, **changes: Any) -> Path:
    said = {
        "models": {"CLIP": {"kind": "nano", "weights": "clip"}},
        "samples": 12,
        "attacks": [{"kind": "pgd", "eps": "1/255", "steps": 5}],
        "threats": ["white-box"],
    }
    return suite_file(**{**said, **changes})


def test_the_command_examines_once(suite_file: Write, tmp_path: Path) -> None:
    path, results = one_model(suite_file), ("--results", tmp_path)
    assert call("run", path, *results, "--device", "cpu", "--no-check").returncode == 0
    assert not (tmp_path / "small" / "trust").exists()
    first = call("check", path, *results, "--device", "cpu", "--all")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "CLIP x cifar10: examined" in first.stdout
    assert "cheap, 12 images: " in first.stdout and "names no published numbers" in first.stdout
    (kept,) = (tmp_path / "small" / "trust").iterdir()
    checks = [finding["check"] for finding in json.loads(kept.read_text())["findings"]]
    assert checks == list(CHECKS)
    again = call("check", path, *results, "--all")
    assert "x cifar10: examined" not in again.stdout
    assert again.stdout == first.stdout.replace("CLIP x cifar10: examined\n", "")
