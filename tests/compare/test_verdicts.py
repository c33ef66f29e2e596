"""Measured against published, on results that are known."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.compare.paired import with_published
from bench.compare.published import read_published
from bench.compare.published_number import Published
from bench.compare.published_table import check, check_lines, check_rows
from bench.compare.verdicts import Comparison, compare
from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.results.tables import Scored
from bench.stats import wilson
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Against, Suite, load_suite
from tests.commands.test_cli import call

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
N = 200
# accuracies of the suite's cells, by dataset and attack
RATES = {("cifar10", "clean"): 0.8, ("digits", "clean"): 0.6, ("cifar10", "pgd"): 0.4}
FAILED, MISSING = ("digits", "pgd"), ("cifar10", "cw")

Write = Callable[..., Path]


@pytest.fixture
def known(suite_file: Write, tmp_path: Path) -> tuple[Suite, Store, Path]:
    path = suite_file(
        datasets=[
            {"kind": "hub", "name": "cifar10"},
            {"kind": "folder", "name": "digits", "path": "digits"},
        ],
        attacks=[{"kind": "pgd", "eps": "4/255", "steps": 10}, {"kind": "cw", "eps": "4/255"}],
        threats=["white-box"],
    )
    suite = load_suite(path)
    store = Store(tmp_path / "results", suite.suite)
    for cell in expand(suite, Lock()):
        key = (cell.dataset, cell.attack.label if cell.attack else "clean")
        if key in RATES:
            correct = np.arange(N) < RATES[key] * N
            ids = tuple(map(str, range(N)))
            empty = np.zeros(N, np.float32)
            store.put(CellResult(cell.id, "ok", correct, ids, empty, 1.0, N, {}))
        elif key == FAILED:
            nothing = np.zeros(0, np.bool_)
            store.put(
                CellResult(
                    cell.id, "failed", nothing, (), np.zeros(0, np.float32), 0.0, 0, {}, "no room"
                )
            )
    return suite, store, path


def published(path: Path, *rows: dict[str, str]) -> Path:
    fields = {"model": "CLIP", "dataset": "cifar10", "attack": "clean", "eps": "", **rows[0]}
    defaults = {**fields, "metric": "accuracy", "samples": "1000"}
    filled = [{**defaults, **row} for row in rows]
    for row in filled:
        if row["attack"] != "clean":
            row.setdefault("threat", "white-box")
            row["eps"] = row["eps"] or "4/255"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for row in filled for key in row}))
        writer.writeheader()
        writer.writerows(filled)
    return path


def compared(known: tuple[Suite, Store, Path], path: Path, **row: str) -> list[Comparison]:
    suite, store, _ = known
    found, _ = check(read_results(suite, store), str(published(path / "published.csv", row)))
    return found


@pytest.mark.parametrize(
    ("row", "verdict", "why"),
    [
        ({"value_percent": "82.0"}, "agrees", ""),
        ({"value_percent": "90.0"}, "differs", ""),
        ({"value_percent": "85.0", "samples": "all"}, "agrees", ""),
        ({"value_percent": "87.0", "samples": "all"}, "differs", ""),
        ({"value_percent": "41", "attack": "pgd"}, "agrees", ""),
        ({"value_percent": "55", "attack": "pgd"}, "differs", ""),
        ({"value_percent": "41", "attack": "pgd", "steps": "10"}, "agrees", ""),
        ({"value_percent": "41", "attack": "pgd", "steps": "7"}, "", "steps: 7 published, 10"),
        (
            {"value_percent": "41", "attack": "pgd", "threat": "transfer", "source_model": "CLIP"},
            "",
            "threat model: transfer from CLIP published, white-box",
        ),
        ({"value_percent": "41", "attack": "pgd", "preset_attack": "PGD-10"}, "agrees", ""),
        (
            {"value_percent": "41", "attack": "pgd", "preset_attack": "APGD-30"},
            "",
            "attack: APGD-30 published, pgd",
        ),
        (
            {"value_percent": "41", "attack": "pgd", "storage": "uint8-truncate"},
            "",
            "storage: uint8-truncate published, float32",
        ),
        ({"value_percent": "41", "attack": "pgd", "storage": "float32"}, "agrees", ""),
        ({"value_percent": "80", "storage": "uint8-truncate"}, "agrees", ""),
        (
            {"value_percent": "80", "incomparable": "printed value is suspect: a misprint"},
            "",
            "printed value is suspect: a misprint",
        ),
        ({"value_percent": "80", "pixels": "224 crop"}, "", "pixels: 224 crop published, native"),
        ({"value_percent": "80", "templates": "dataset"}, "", "templates: dataset published, a ph"),
        (
            {"value_percent": "80", "weights": "ViT-L-14-quickgelu openai"},
            "",
            "weights: ViT-L-14-quickgelu openai published, nano clip",
        ),
        ({"value_percent": "80", "weights": "nano clip", "pixels": "native"}, "agrees", ""),
        ({"value_percent": "9", "attack": "pgd", "dataset": "digits"}, "", "digits: no room"),
        ({"value_percent": "9", "attack": "cw"}, "", "cifar10: not run yet"),
        ({"value_percent": "71", "dataset": "mean", "over": "cifar10 digits"}, "agrees", ""),
        ({"value_percent": "79", "dataset": "mean", "over": "cifar10 digits"}, "differs", ""),
        (
            {"value_percent": "71", "dataset": "mean", "over": "cifar10 pcam"},
            "",
            "datasets: the suite lacks pcam",
        ),
        (
            {"value_percent": "71", "dataset": "mean"},
            "",
            "does not state which datasets the mean is over",
        ),
    ],
)
def test_a_verdict_per_number(
    known: tuple[Suite, Store, Path], tmp_path: Path, row: dict[str, str], verdict: str, why: str
) -> None:
    (found,) = compared(known, tmp_path, **row)
    assert found.verdict == (verdict or "cannot be compared"), found.why
    assert why in found.why
    assert bool(found.why) == (found.verdict == "cannot be compared")


def test_an_unnamed_attack_stands_beside_all(
    known: tuple[Suite, Store, Path], tmp_path: Path
) -> None:
    found = compared(known, tmp_path, value_percent="41", attack="unnamed")
    assert [item.attack for item in found] == ["pgd", "cw"]
    assert all("the paper does not name it" in item.why for item in found)
    assert found[0].measured and found[0].measured.value == 0.4


def test_what_nothing_can_be_held_against_is_not_absent(
    known: tuple[Suite, Store, Path], tmp_path: Path
) -> None:
    (found,) = compared(known, tmp_path, value_percent="27", attack="fab", incomparable="worn off")
    assert (found.attack, found.measured, found.why) == ("fab", None, "worn off")
    assert not compared(known, tmp_path, value_percent="27", model="Nobody", incomparable="x")


def test_the_attack_of_the_number_stands_alone_where_the_suite_has_it(
    suite_file: Write, tmp_path: Path
) -> None:
    attacks = [{"kind": "apgd-ce", "eps": "4/255"}, {"preset": "radapt-paper", "eps": "4/255"}]
    row = {"attack": "apgd-ce", "preset_attack": "APGD-30", "value_percent": "1"}
    path = published(tmp_path / "p.csv", row)
    seen = {}
    for name, some in {"both": attacks, "official": attacks[:1], "authors": attacks[1:]}.items():
        suite = load_suite(suite_file(suite=name, attacks=some, threats=["white-box"]))
        (found,), _ = check(read_results(suite, Store(tmp_path, name)), str(path))
        seen[name] = (found.attack, "attack: APGD-30 published, apgd-ce" in found.why)
    assert seen == {
        "both": ("APGD-30", False),
        "official": ("apgd-ce", True),
        "authors": ("APGD-30", False),
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"repo": "clip-benchmark/wds_vtab-pcam"}, ""),
        ({"shards": 2}, "pcam as published, 2 of its shards"),
        ({"split": "train"}, "pcam as published, the split train"),
        ({"repo": "someone/pcam"}, "pcam as published, the copy someone/pcam"),
        ({"kind": "webdataset", "path": "x", "split": "train"}, "published, the split train"),
    ],
)
def test_a_part_or_a_copy_is_not_the_dataset(
    suite_file: Write, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    suite = load_suite(suite_file(datasets=[{"kind": "hub", "name": "pcam", **changes}]))
    rows = [
        {"value_percent": "50", "dataset": "pcam"},
        {"value_percent": "50", "dataset": "mean", "over": "pcam"},
    ]
    path = published(tmp_path / "p.csv", *rows)
    found, _ = check(read_results(suite, Store(tmp_path, suite.suite)), str(path))
    assert len(found) == 2
    for item in found:
        assert why in item.why
        assert ("datasets: " in item.why) == bool(why)


def test_an_embedded_set_is_not_the_one_it_is_of(suite_file: Write, tmp_path: Path) -> None:
    suite = load_suite(suite_file(datasets=["cifar10"]))
    path = published(tmp_path / "p.csv", {"value_percent": "50"})
    ((item,), _) = check(read_results(suite, Store(tmp_path, suite.suite)), str(path))
    assert "datasets: cifar10 as published, an embedded subset" in item.why


def test_what_a_reader_must_know_stands_beside_the_verdict(
    known: tuple[Suite, Store, Path], tmp_path: Path
) -> None:
    row = {"value_percent": "41", "attack": "pgd", "threat_basis": "inferred", "note": "of code"}
    ((*_, verdict),) = check_rows(compared(known, tmp_path, **row))
    silent = "not stated: weights, pixels, templates, storage, steps, restarts, targets"
    assert verdict == (f"agrees (threat inferred; {silent}; of code)")
    row |= {"preset_attack": "PGD-10", "storage": "float32", "weights": "nano clip"}
    ((*_, verdict),) = check_rows(compared(known, tmp_path, **row))
    assert "; not stated: pixels, templates; " in verdict
    row |= {"steps": "7"}
    ((*_, verdict),) = check_rows(compared(known, tmp_path, **row))
    assert "not stated" not in verdict  # where nothing is compared, nothing is missed


def test_what_the_suite_lacks_is_counted(known: tuple[Suite, Store, Path], tmp_path: Path) -> None:
    rows = [
        {"value_percent": "80"},
        {"value_percent": "1", "model": "Nobody"},
        {"value_percent": "1", "attack": "square"},
        {"value_percent": "1", "attack": "pgd", "eps": "8/255"},
        {"value_percent": "1", "dataset": "pcam"},
        {"value_percent": "1", "metric": "recall@1"},
    ]
    suite, store, _ = known
    found, absent = check(read_results(suite, store), str(published(tmp_path / "p.csv", *rows)))
    assert (len(found), absent) == (1, 5)
    text = "\n".join(check_lines(found, absent))
    assert "1 agrees, 0 differs, 0 cannot be compared" in text
    assert "5 published numbers have a model, dataset or attack" in text
    table = pd.read_csv(store.folder / "check.csv")
    low, high = wilson(160, N)
    assert table.loc[0, "measured"] == 80
    assert table.loc[0, "ci_low"] == pytest.approx(100 * low, abs=0.01)
    assert table.loc[0, "ci_high"] == pytest.approx(100 * high, abs=0.01)


def test_the_matching_threat_alone_is_shown(suite_file: Write, tmp_path: Path) -> None:
    suite = load_suite(suite_file())  # white-box, and transfer from CLIP
    row = {"value_percent": "1", "attack": "pgd", "eps": "2/255", "model": "FARE"}
    store = Store(tmp_path, suite.suite)
    white = published(tmp_path / "w.csv", row)
    (found,), _ = check(read_results(suite, store), str(white))
    assert found.threat == "white-box"
    assert found.why.startswith("cifar10: not run yet")
    both, _ = check(
        read_results(suite, store), str(published(tmp_path / "g.csv", {**row, "threat": "grey"}))
    )
    assert [item.threat for item in both] == ["white-box", "transfer from CLIP"]


def test_seeds_count_as_their_mean_and_their_images_once(suite_file: Write, tmp_path: Path) -> None:
    attacks = [{"kind": "pgd", "eps": "4/255", "steps": 10}]
    suite = load_suite(suite_file(attacks=attacks, threats=["white-box"], seeds=[1, 2]))
    store = Store(tmp_path / "results", suite.suite)
    for cell in expand(suite, Lock()):
        if cell.attack is not None:
            correct = np.arange(N) < {1: 80, 2: 100}[cell.seed]
            ids, far = tuple(map(str, range(N))), np.zeros(N, np.float32)
            store.put(CellResult(cell.id, "ok", correct, ids, far, 1.0, N, {}))
    path = published(tmp_path / "published.csv", {"value_percent": "45", "attack": "pgd"})
    (found,), _ = check(read_results(suite, store), str(path))
    assert found.measured is not None
    assert found.n == N
    low, high = wilson(90, N)
    assert [found.measured.value, found.measured.low, found.measured.high] == pytest.approx(
        [0.45, low, high]
    )


def test_the_command(known: tuple[Suite, Store, Path], tmp_path: Path) -> None:
    _, store, path = known
    results = ("--results", store.folder.parent)
    done = call("check", path, *results)
    assert done.returncode == 2
    assert "names no published numbers; give `--against FILE`" in done.stderr
    near = published(tmp_path / "near.csv", {"value_percent": "80"})
    done = call("check", path, *results, "--against", near)
    assert done.returncode == 0, done.stderr
    assert "1 agrees" in done.stdout
    far = published(tmp_path / "far.csv", {"value_percent": "8"})
    assert call("check", path, *results, "--against", far).returncode == 1
    done = call("check", path, *results, "--against", tmp_path / "gone.csv")
    assert done.returncode == 2
    assert "gone.csv: cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("file", "why"),
    [("a\x1b.csv", "has a control character"), ("", "is empty"), ("a" * 300, "is too long")],
)
def test_a_file_that_cannot_be_is_refused_before_it_is_opened(
    known: tuple[Suite, Store, Path], file: str, why: str
) -> None:
    suite, store, _ = known
    results = read_results(suite, store)
    for compared in (lambda: check(results, file), lambda: with_published(results, file, False)):
        with pytest.raises(UserError, match=f"^--against: got 'a*.*; it {why}"):
            compared()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,dataset\nCLIP,x\n", "the columns attack, eps, metric, value_percent are missing"),
        ("{head}\nCLIP,x,clean,,accuracy,many\n", "line 2: got value_percent 'many'"),
        ("{head}\nCLIP,x,pgd,4/0,accuracy,3\n", "line 2: got value_percent '3' and eps '4/0'"),
        (
            "{head},preset_attack\nCLIP,x,pgd,4/255,accuracy,3,APGD\n",
            "line 2: got preset_attack 'APGD'; allowed: fare-paper, .*, PGD-10, C&W-30, APGD-30",
        ),
        ("{head},samples\nCLIP,x,clean,,accuracy,3,few\n", "line 2: got samples 'few'"),
    ],
)
def test_faults_of_a_file_are_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text.replace("{head}", "model,dataset,attack,eps,metric,value_percent"))
    with pytest.raises(UserError, match=message):
        read_published(Against(file=str(path)))


def test_a_table_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="got the table 'Table 99'; allowed: Table 2, Table 3"):
        read_published(Against(file=str(PUBLISHED / "radapt.csv"), table="Table 99"))


def numbers(name: str, table: str | None = None) -> tuple[Published, ...]:
    return read_published(Against(file=str(PUBLISHED / f"{name}.csv"), table=table))


@pytest.mark.parametrize("name", ["radapt", "fare", "tecoa", "tga", "clip_benchmark"])
def test_shipped_numbers_have_their_sources(name: str) -> None:
    for row in numbers(name):
        assert row.paper and row.table and row.source, row
        attacked = row.attack != "clean" and "LVLM" not in row.table
        assert bool(row.threat) == attacked, row
        assert bool(row.threat_basis) == attacked, row


def test_fare_s_clean_imagenet_is_of_5000_images() -> None:
    """What open_clip has on all 50,000, 75.5, agrees with the printed 74.9."""
    rows = [row for row in numbers("fare") if row.dataset == "imagenet" and row.attack == "clean"]
    assert {row.samples for row in rows} == {"5000"}
    assert all("RobustBench" in row.note for row in rows)
    suite = load_suite(PUBLISHED.parents[1] / "suites" / "fare.yaml")
    (cell,) = [
        cell
        for cell in expand(suite, Lock())
        if (cell.target, cell.dataset, cell.attack) == ("CLIP", "imagenet", None)
    ]
    right = np.arange(50_000) < 37_750
    result = CellResult(cell.id, "ok", right, (), np.zeros(0, np.float32), 1.0, 50_000, {})
    (found,), _ = compare(suite, [Scored(cell, result)], rows[:1])
    assert (found.published.value_percent, found.verdict) == ("74.9", "agrees")


def test_printed_means_that_their_cells_do_not_give_are_noted() -> None:
    """Of the fifteen means of FARE's Table 4."""
    rows = numbers("fare", "Table 4")
    cells = {(row.model, row.eps, row.dataset): row.value for row in rows}
    means = [row for row in rows if row.dataset == "mean"]
    assert len(means) == 15
    for row in means:
        parts = [cells[row.model, row.eps, name] for name in row.datasets]
        assert len(parts) == 13
        given = abs(sum(parts) / 13 - row.value) <= row.rounding + 1e-9
        assert given != ("not that of the printed cells" in row.note), (row.model, row.eps)


def test_what_a_suite_is_compared_with_changes_no_identity(
    known: tuple[Suite, Store, Path], suite_file: Write
) -> None:
    suite, _, _ = known
    named: Any = {"file": "x.csv", "table": "Table 2"}
    other = Suite.model_validate({**suite.model_dump(), "against": named})
    assert [cell.id for cell in expand(suite, Lock())] == [
        cell.id for cell in expand(other, Lock())
    ]
