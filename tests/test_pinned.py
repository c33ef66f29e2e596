"""No identity and no value moves, and results that are stored go on being read.

What is pinned, and when it may be written again: `tests.pinned`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

from bench import load_results, load_suite, run_suite
from bench.plan.cells import expand
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.specs import ATTACK_PRESETS, PRESETS
from bench.trust.stored_findings import findings_and_todo
from tests.commands.test_cli import call
from tests.pinned.changes import moved_defaults, moved_identities, moved_values, pinned, shown
from tests.pinned.identities import every_kind, fixed_lock, identities, kinds, shipped
from tests.pinned.settings import choices_within, defaults, specs_within
from tests.pinned.values import small_run, values

STORED = Path(__file__).parent / "pinned" / "stored"
SUITES = {**shipped(), **kinds()}


@pytest.mark.parametrize("name", SUITES)
def test_no_identity_moves(name: str) -> None:
    moved = moved_identities(pinned()["identities"].get(name), identities(SUITES[name]))
    assert not moved, shown(name, moved)


@pytest.mark.parametrize("name", small_run())
def test_no_value_moves(name: str) -> None:
    if name == "answers":
        pytest.importorskip("transformers")
    moved = moved_values(pinned()["values"].get(name), values(small_run()[name]))
    assert not moved, shown(name, moved)


def test_no_default_moves() -> None:
    moved = moved_defaults(pinned()["defaults"], defaults())
    assert not moved, shown("defaults", moved)


def test_nothing_is_pinned_that_is_gone() -> None:
    assert pinned()["identities"].keys() == SUITES.keys()
    assert pinned()["values"].keys() == small_run().keys()


def test_what_moved_is_named() -> None:
    then = pinned()["identities"]["suites/quickstart.yaml"]
    row, ids = next(iter(then["cells"].items()))
    first, *others = ids.split()
    zero = "0" * len(first)
    now = {**then, "cells": {**then["cells"], row: " ".join([zero, *others])}}
    assert moved_identities(then, now) == [f"{row}: clean: cell: was {first}, is {zero}"]
    assert moved_identities(then, {**then, "digest": ""}) != []
    run = pinned()["values"]["classes"]
    cell, said = next((name, said) for name, said in run.items() if "pixels" in said)
    pixels = said["pixels"].split()
    for wrong, moves in ((4, False), (5, True)):
        other = " ".join(["0.9"] * wrong + pixels[wrong:])
        lines = moved_values(run, {**run, cell: {**said, "pixels": other}})
        assert [line.startswith(f"{cell}: pixels: was") for line in lines] == [True] * moves
    far = {**run, cell: {**said, "distance": "0.9"}, "another": said}
    assert [line.partition(": was")[0] for line in moved_values(run, far)] == [
        f"{cell}: distance",
        "another: is new",
    ]


# --- the suites of every kind have every kind -----------------------------------------------------


def used(value: Any) -> Iterator[BaseModel]:
    """Yield every spec in a suite."""
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from used(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from used(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from used(item)


def test_the_suites_of_every_kind_use_every_kind_and_setting() -> None:
    found: dict[type[BaseModel], list[BaseModel]] = {}
    for suite in kinds().values():
        threats = {cell.threat for cell in expand(suite, fixed_lock(suite)) if cell.threat}
        for spec in (*used(suite), *threats):
            found.setdefault(type(spec), []).append(spec)
    missing: list[str] = []
    left: dict[tuple[str, tuple[Any, ...]], set[Any]] = {}
    for kind in dict.fromkeys(specs_within(Suite)):
        for name, field in kind.model_fields.items():
            given = [getattr(spec, name) for spec in found.get(kind, [])]
            if all(value == field.default for value in given) and name != "kind":
                missing.append(f"{kind.__name__}.{name}: never away from its default")
            words = [word for value in given for word in _words(value)]
            # what several kinds have from one base need not be there with each of them
            choices = tuple(choices_within(field.annotation))
            left[name, choices] = left.get((name, choices), set(choices)).difference(
                choice for choice in choices if choice in words
            )
    missing += [f"{name}: never {word!r}" for (name, _), words in left.items() for word in words]
    assert not missing, "add these to tests/pinned/every_kind.yaml:\n" + "\n".join(missing)


def _words(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def test_the_suites_of_every_kind_use_every_preset_and_norm() -> None:
    presets, norms = set(), set()
    for raw in every_kind():
        protocol = raw["protocol"]
        presets.add(protocol if isinstance(protocol, str) else protocol.get("preset"))
        for attack in raw["attacks"]:
            presets.add(("attack", attack.get("preset")))
            norms.add((attack.get("kind"), attack.get("norm", "linf")))
    assert presets >= set(PRESETS)
    assert presets >= {("attack", name) for name in ATTACK_PRESETS}
    named = {kind for kind, _ in norms if kind}
    assert norms >= {(kind, norm) for kind in named for norm in ("linf", "l2")}


# --- what is stored goes on being read ------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a copy of the folder of all results."""
    shutil.copytree(STORED / "results", tmp_path / "results")
    return tmp_path / "results"


def equal(folder: Path) -> None:
    """Assert that each number is what it was; further columns are no matter."""
    then, now = load_results(STORED / "results" / "stored"), load_results(folder)
    pd.testing.assert_frame_equal(now[[*then.columns]], then[[*then.columns]])


def test_a_run_over_stored_results_computes_nothing_and_writes_the_same_table(
    stored: Path,
) -> None:
    (stored / "stored" / "cells.csv").unlink()
    report = run_suite(STORED / "suite.yaml", results=stored, device="cpu")
    assert (report.cells, report.computed, report.failed) == (14, 0, 0)
    equal(report.folder)


def test_an_export_of_stored_results_writes_the_same_table(stored: Path) -> None:
    (stored / "stored" / "cells.csv").unlink()
    assert call("export", STORED / "suite.yaml", "--results", stored).returncode == 0
    equal(stored / "stored")


def test_a_kept_craft_is_scored_and_not_made_again(stored: Path) -> None:
    (craft,) = (stored / "crafts").glob("*.safetensors")
    made, old = craft.stat().st_mtime_ns, load_results(STORED / "results" / "stored")
    key = craft.name.partition(".")[0]
    (cell,) = old[(old["craft_id"] == key) & (old["model"] == "FARE")]["cell_id"]
    (stored / "stored" / "cells" / f"{cell}.json").unlink()
    report = run_suite(STORED / "suite.yaml", results=stored, device="cpu", check=False)
    assert report.computed == 1
    assert craft.stat().st_mtime_ns == made
    now = load_results(report.folder).set_index("cell_id")["value"]
    assert now[cell] == old.set_index("cell_id")["value"][cell]


def test_a_stored_examination_is_read(stored: Path) -> None:
    found, left = findings_and_todo(
        read_results(load_suite(STORED / "suite.yaml"), Store(stored, "stored")), deep=False
    )
    assert found.keys() == {("FARE", "digits"), ("R-Adapt", "digits")}
    assert not left


def test_a_bundle_of_before_is_merged(tmp_path: Path) -> None:
    merged = call("merge", STORED / "suite.yaml", STORED / "bundle.zip", "--results", tmp_path)
    assert merged.returncode == 0, merged.stdout + merged.stderr
    equal(tmp_path / "stored")


def test_stored_answers_are_read(stored: Path) -> None:
    store = Store(stored, "answers")
    clean, attacked = expand(load_suite(STORED / "answers.yaml"), store.lock())
    before, after = store.get(clean.id), store.get(attacked.id)
    assert before is not None and after is not None
    assert before.texts == ("yes", "no", "no") and before.reached is None
    assert after.texts == ("yes", "yes", "yes") and after.flags == ("reached=1.00",)
    assert after.reached is not None and after.reached.all()
    assert after.scores is not None and after.scores.tolist() == [0, 0, 0]
    assert after.sample_ids == ("s0000057", "s0000314", "s0000367")
    assert after.distance == pytest.approx([0, 4 / 255, 4 / 255], abs=1e-6)
