"""Results that travel: bundles, merges, and bundles made to do harm."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from bench.compare.paired import with_baseline
from bench.core.errors import CellError, UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult, unmeasured
from bench.evaluate.tracebacks import reason
from bench.plan.cells import expand
from bench.plan.identity import IDENTITY_FORM, spec_digests, still_valid
from bench.report.export import export
from bench.results.tables import load_scored
from bench.share.bundle import read_bundle, write_bundle
from bench.share.merging import merge, merge_lines
from bench.store.folder_lock import lock_folder
from bench.store.portable_records import read_result, result_line
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.specs import Pgd
from tests.commands.test_cli import call
from tests.results.test_tables import LOCK, SUITE, correct
from tests.support.stored_cells import store_as_before

N = 40
CELLS = list({cell.id: cell for cell in expand(SUITE, LOCK)}.values())


def filled(root: Path, every: int = 1, start: int = 0) -> Store:
    """A store with each `every`-th cell, from `start` on."""
    store = Store(root, SUITE.suite)
    store.put_lock(LOCK)
    for cell in CELLS[start::every]:
        ids = LOCK.datasets[cell.dataset].sample_ids
        far = np.full(N, 0.001, np.float32)
        store.put(
            CellResult(
                cell.id, "ok", correct(cell), ids, far, 0.5, N, {"torch": "0"}, flags=("x=1",)
            )
        )
    return store


def bundle(store: Store, path: Path, suite: Suite = SUITE) -> Path:
    export(read_results(suite, store))
    write_bundle(read_results(suite, store), path)
    return path


def equal(first: CellResult | None, second: CellResult | None) -> bool:
    assert first is not None and second is not None
    return result_line(first) == result_line(second)


def test_a_bundle_gives_back_what_went_in(tmp_path: Path) -> None:
    store = filled(tmp_path / "a")
    found = read_bundle(bundle(store, tmp_path / "sent.zip"))
    assert found.lock == LOCK
    assert set(found.results) == {cell.id for cell in CELLS}
    assert all(equal(store.get(key), result) for key, result in found.results.items())
    with zipfile.ZipFile(tmp_path / "sent.zip") as archive:
        assert set(archive.namelist()) == {
            *("bundle.json", "suite.json", "lock.json", "results.jsonl", "environment.json"),
            *("cells.csv", "leaderboard.csv", "manifest.json"),
        }
        assert Suite.model_validate_json(archive.read("suite.json")) == SUITE
        assert "numpy" in json.loads(archive.read("environment.json"))["packages"]
        assert archive.read("cells.csv") == (store.folder / "cells.csv").read_bytes()


def test_equal_results_are_equal_bundles(tmp_path: Path) -> None:
    store = filled(tmp_path / "a")
    first = bundle(store, tmp_path / "1.zip").read_bytes()
    assert bundle(store, tmp_path / "2.zip").read_bytes() == first


def test_a_bundle_has_the_comparison_with_published_numbers(tmp_path: Path) -> None:
    table = tmp_path / "published.csv"
    table.write_text(
        "paper,table,model,dataset,attack,eps,metric,value_percent,samples\n"
        "p,T,A,cifar10,clean,,accuracy,75.0,40\n"
    )
    suite = SUITE.model_copy(
        update={"against": Suite.model_validate(
            {**SUITE.model_dump(), "against": {"file": str(table)}}).against}
    )  # fmt: skip
    path = bundle(filled(tmp_path / "a"), tmp_path / "sent.zip", suite)
    with zipfile.ZipFile(path) as archive:
        assert "p,T,A,cifar10,clean" in archive.read("check.csv").decode()
    assert len(read_bundle(path).results) == len(CELLS)


@pytest.mark.parametrize("form", ["bundle", "suite's folder", "folder of all"])
def test_two_halves_make_a_whole(tmp_path: Path, form: str) -> None:
    ours, theirs = filled(tmp_path / "a", 2), filled(tmp_path / "b", 2, 1)
    other = {
        "bundle": lambda: bundle(theirs, tmp_path / "b.zip"),
        "suite's folder": lambda: theirs.folder,
        "folder of all": lambda: tmp_path / "b",
    }[form]()
    merged = merge(SUITE, ours, other)
    assert (merged.added, merged.same, merged.conflicts) == (len(CELLS) // 2, 0, ())
    assert merged.missing == len(CELLS) - merged.added
    whole = filled(tmp_path / "c")
    assert all(equal(ours.get(cell.id), whole.get(cell.id)) for cell in CELLS)
    again = merge(SUITE, ours, other)
    assert (again.added, again.same) == (0, merged.added)


def test_into_an_empty_folder(tmp_path: Path) -> None:
    other = bundle(filled(tmp_path / "a"), tmp_path / "a.zip")
    ours = Store(tmp_path / "new", SUITE.suite)
    assert merge(SUITE, ours, other).added == len(CELLS)
    board = export(read_results(SUITE, ours))
    assert board["worst"].notna().all()


def test_conflicts_are_shown_and_ours_is_kept(tmp_path: Path) -> None:
    ours, theirs = filled(tmp_path / "a"), filled(tmp_path / "b")
    changed = CELLS[3]
    kept = theirs.get(changed.id)
    assert kept is not None
    flipped = kept.correct.copy()
    flipped[:2] = ~flipped[:2]
    theirs.put(replace(kept, correct=flipped, seconds=9.0))
    theirs.put(replace(theirs.get(CELLS[0].id), seconds=77.0))  # type: ignore[type-var]
    merged = merge(SUITE, ours, bundle(theirs, tmp_path / "b.zip"))
    assert [conflict.cell.id for conflict in merged.conflicts] == [changed.id]
    assert merged.same == len(CELLS) - 1  # another time is no conflict
    assert equal(ours.get(changed.id), kept)
    lines = list(merge_lines(merged))
    assert f"conflict: {changed.target} · {changed.dataset}" in lines[0]
    assert "2 of 40 images differ; ours is kept" in lines[0]


def test_what_failed_here_is_taken_and_what_failed_there_is_not(tmp_path: Path) -> None:
    ours, theirs = filled(tmp_path / "a"), filled(tmp_path / "b")
    none = np.zeros(0)
    for store, cell in ((ours, CELLS[1]), (theirs, CELLS[2])):
        store.put(
            CellResult(cell.id, "failed", none.astype(bool), (), none.astype(np.float32), 1, 0, {},
                       "no room")
        )  # fmt: skip
    merged = merge(SUITE, ours, theirs.folder)
    assert (merged.added, merged.same, merged.conflicts) == (1, len(CELLS) - 1, ())
    assert all(getattr(ours.get(cell.id), "status", "") == "ok" for cell in CELLS)


def test_a_run_is_not_merged_into(tmp_path: Path) -> None:
    ours, theirs = filled(tmp_path / "a", 2), filled(tmp_path / "b")
    with (
        lock_folder(ours.folder, "inline", Path("runs/1")),
        pytest.raises(UserError, match="another run"),
    ):
        merge(SUITE, ours, theirs.folder)
    assert merge(SUITE, ours, theirs.folder).added == len(CELLS) // 2


def test_other_weights_are_other_cells(tmp_path: Path) -> None:
    ours, theirs = filled(tmp_path / "a", 2), filled(tmp_path / "b")
    theirs.put_lock(replace(LOCK, models={**LOCK.models, "A": "retrained"}))
    merged = merge(SUITE, ours, theirs.folder)
    assert merged.changed_content == ("models.A",)
    assert ours.lock().models["A"] == "a"
    assert merged.conflicts == ()


def test_other_versions_are_other_cells_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked = [cell for cell in CELLS if cell.attack and cell.attack.kind == "pgd"]
    sent = bundle(filled(tmp_path / "theirs"), tmp_path / "sent.zip")
    ours = filled(tmp_path / "ours", 2)
    monkeypatch.setattr(Pgd, "version", 3)
    merged = merge(SUITE, ours, sent)
    assert attacked and merged.missing == len(attacked)
    assert merged.versions == ("attack pgd: version 1 in theirs, 3 in ours",)
    first, *_ = merge_lines(merged)
    assert first.startswith(
        "attack pgd: version 1 in theirs, 3 in ours; the cells that depend on it"
    )
    assert merge(SUITE, ours, filled(tmp_path / "folder").folder).versions == ()


def test_a_bundle_without_versions_has_the_first_ones(tmp_path: Path) -> None:
    sent = bundle(filled(tmp_path / "a"), tmp_path / "sent.zip")
    head = {"format": 1, "suite": SUITE.suite, "protocol": IDENTITY_FORM}
    old = rewritten(sent, {"bundle.json": json.dumps(head).encode()}, tmp_path / "old.zip")
    merged = merge(SUITE, Store(tmp_path / "b", SUITE.suite), old)
    assert (merged.added, merged.versions) == (len(CELLS), ())
    for form, versions, why in (
        (2, {}, "got protocol 2; allowed: 1"),
        (1, {"attack pgd": "x"}, "damaged"),
        (1, 5, "damaged"),
    ):
        head |= {"protocol": form, "versions": versions}
        bad = rewritten(sent, {"bundle.json": json.dumps(head).encode()}, tmp_path / "bad.zip")
        with pytest.raises(UserError, match=why):
            read_bundle(bad)


def test_what_a_local_judge_stands_for_travels(tmp_path: Path) -> None:
    judge = {"kind": "transformers", "name": "j"}
    suite = SUITE.model_copy(
        update={
            "protocol": SUITE.protocol.model_validate(
                {**SUITE.protocol.model_dump(), "judge": judge}
            )
        }
    )
    lock = replace(LOCK, specs=spec_digests(suite), judge="hash")
    ours, theirs = Store(tmp_path / "a", SUITE.suite), filled(tmp_path / "b")
    theirs.put_lock(lock)
    assert merge(suite, ours, theirs.folder).changed_content == ()
    assert ours.lock().judge == "hash"
    assert still_valid(suite, ours.lock()).judge == "hash"
    theirs.put_lock(replace(lock, judge="other"))
    assert merge(suite, ours, theirs.folder).changed_content == ("protocol.judge",)
    assert ours.lock().judge == "hash"


def rewritten(path: Path, changes: dict[str, bytes], out: Path) -> Path:
    """A bundle with members replaced or added."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **changes}.items():
            archive.writestr(name, content)
    return out


def line(**changes: object) -> bytes:
    cell = CELLS[0]
    ids = LOCK.datasets[cell.dataset].sample_ids
    good = CellResult(cell.id, "ok", correct(cell), ids, np.zeros(N, np.float32), 0.5, N, {})
    return json.dumps({**json.loads(result_line(good)), **changes}).encode() + b"\n"


HARM = {
    "a path out": {"../../evil": b"x"},
    "an absolute path": {"/tmp/evil": b"x"},
    "a cell with a path": {"results.jsonl": line(cell_id="../../../etc/passwd")},
    "no JSON": {"results.jsonl": b"{"},
    "fewer images": {
        "results.jsonl": line(correct="011", sample_ids=["0", "1", "2"], distance=[0.0] * 3)
    },
    "other images": {"results.jsonl": line(sample_ids=[f"x{i}" for i in range(N)])},
    "images in another order": {"results.jsonl": line(sample_ids=list(map(str, range(N)))[::-1])},
    "too many queries": {"results.jsonl": line(queries=2**63)},
    "a far image": {"results.jsonl": line(distance=[1e7] * N)},
    "a flag that a terminal obeys": {"results.jsonl": line(flags=["\x9b2J"])},
    "a reason that a terminal obeys": {
        "results.jsonl": line(
            status="failed", correct="", sample_ids=[], distance=[], reason="\x1b[2J"
        )
    },
    "outcomes of other images": {"results.jsonl": line(correct="01")},
    "an image twice": {"results.jsonl": line(sample_ids=["0"] * N)},
    "a status of its own": {"results.jsonl": line(status="great")},
    "no number": {"results.jsonl": line(seconds="NaN")},
    "an unknown field": {"results.jsonl": line(again=True)},
    "another format": {"bundle.json": json.dumps({"format": 2}).encode()},
    "another protocol": {"bundle.json": json.dumps({"format": 1, "protocol": 0}).encode()},
    "a head that is a list": {"bundle.json": b"[]"},
    "a lock that is none": {"lock.json": b'{"models": 1}'},
}


@pytest.mark.parametrize("harm", HARM)
def test_a_harmful_bundle_changes_nothing(tmp_path: Path, harm: str) -> None:
    good = bundle(filled(tmp_path / "a"), tmp_path / "good.zip")
    bad = rewritten(good, HARM[harm], tmp_path / "bad.zip")
    ours = Store(tmp_path / "ours", SUITE.suite)
    with lock_folder(ours.folder, "inline", Path("runs/1")):
        pass  # the file that is locked stays
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"bad\.zip"):
        merge(SUITE, ours, bad)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/evil").exists()


def test_a_bundle_has_whatever_an_error_may_say(tmp_path: Path) -> None:
    store, cell = filled(tmp_path / "a"), CELLS[2]
    error = CellError("".join(map(chr, (*range(0x100), 0x2028, 0xD800, 0x1F43B))))
    store.put(unmeasured(cell.id, "failed", reason(error), 1.0, {}))
    found = read_bundle(bundle(store, tmp_path / "sent.zip")).results[cell.id].reason
    assert found is not None
    assert found.startswith("\ufffd" * 9 + "\t\n\ufffd")
    assert found.endswith("\xff\u2028\ufffd\U0001f43b")


def test_results_of_other_images_in_a_folder_are_refused(tmp_path: Path) -> None:
    theirs = filled(tmp_path / "a")
    cell = CELLS[2]
    kept = theirs.get(cell.id)
    assert kept is not None
    theirs.put(replace(kept, sample_ids=tuple(f"{i}x" for i in range(N))))
    ours = Store(tmp_path / "ours", SUITE.suite)
    with pytest.raises(UserError, match=f"a.*: cell {cell.id} .*its 40 images are not the 40"):
        merge(SUITE, ours, theirs.folder)
    assert all(ours.get(cell.id) is None for cell in CELLS)
    assert ours.lock() == Lock()


def test_results_of_another_suite_are_refused(tmp_path: Path) -> None:
    theirs = Store(tmp_path / "a", "other-suite")
    theirs.put_lock(LOCK)
    with pytest.raises(
        UserError, match="suite 'other-suite', but none of a cell of suite 'made-up'"
    ):
        merge(SUITE, Store(tmp_path / "ours", SUITE.suite), theirs.folder)
    again = filled(tmp_path / "b")
    others = {name: f"{content}2" for name, content in LOCK.models.items()}
    ours = Store(tmp_path / "ours", SUITE.suite)
    ours.put_lock(replace(LOCK, models=others))
    with pytest.raises(UserError, match=r"different content: models\.A, models\.<b>B"):
        merge(SUITE, ours, again.folder)


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compression_is_refused(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", kind) as archive:
        archive.writestr("bundle.json", "{}")
    with pytest.raises(UserError, match=r"bad\.zip: 'bundle\.json': got compression \d+; allowed"):
        read_bundle(tmp_path / "bad.zip")


def test_cells_of_one_dataset_share_their_ids(tmp_path: Path) -> None:
    found = read_bundle(bundle(filled(tmp_path / "a"), tmp_path / "sent.zip"))
    assert len({id(result.sample_ids) for result in found.results.values()}) == 1


def test_a_package_without_a_name_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = SimpleNamespace(metadata={"Name": None}, version="1")
    known = SimpleNamespace(metadata={"Name": "known"}, version="2")
    monkeypatch.setattr("importlib.metadata.distributions", lambda: iter([nameless, known]))
    with zipfile.ZipFile(bundle(filled(tmp_path / "a"), tmp_path / "sent.zip")) as archive:
        assert json.loads(archive.read("environment.json"))["packages"] == {"known": "2"}


def test_sizes_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = bundle(filled(tmp_path / "a"), tmp_path / "good.zip")
    for limit, size in (("MAX_FILE_BYTES", 500), ("MAX_RESULTS_BYTES", 2000)):
        with monkeypatch.context() as patched:
            patched.setattr(f"bench.share.bundle.{limit}", size)
            with pytest.raises(UserError, match=r"too large|larger than"):
                read_bundle(good)


def test_what_is_no_bundle_says_so(tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("hello")
    short = tmp_path / "short.zip"
    short.write_bytes(bundle(filled(tmp_path / "a"), tmp_path / "good.zip").read_bytes()[:-500])
    damaged = bytearray((tmp_path / "good.zip").read_bytes())
    middle = damaged.index(b"results.jsonl") + 200
    damaged[middle : middle + 40] = bytes(40)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with zipfile.ZipFile(tmp_path / "bare.zip", "w") as archive:
        archive.writestr("bundle.json", json.dumps({"format": 1, "protocol": IDENTITY_FORM}))
    for name in ("text.zip", "short.zip", "damaged.zip", "bare.zip", "nowhere.zip"):
        with pytest.raises(UserError, match=name):
            merge(SUITE, Store(tmp_path / "ours", SUITE.suite), tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no results"):
        merge(SUITE, Store(tmp_path / "ours", SUITE.suite), tmp_path / "empty")


def test_a_result_survives_its_line(tmp_path: Path) -> None:
    store = filled(tmp_path / "a")
    result = store.get(CELLS[0].id)
    assert result is not None
    assert equal(read_result(result_line(result).encode()), result)


def test_the_lock_that_comes_holds_for_this_suite_alone(tmp_path: Path) -> None:
    stale = replace(LOCK, specs={**LOCK.specs, "models.A": "of before"})
    ours = Store(tmp_path / "ours", SUITE.suite)
    ours.put_lock(replace(stale, models={"A": "old"}, datasets={}))
    merge(SUITE, ours, filled(tmp_path / "b").folder)
    assert ours.lock() == LOCK
    assert Lock() != LOCK


def test_commands(tmp_path: Path, suite_file) -> None:  # type: ignore[no-untyped-def]
    suite, sent = suite_file(attacks=None, threats=None), tmp_path / "sent.zip"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert call(suite, "--results", theirs).returncode == 0
    done = call("export", suite, "--results", theirs, "--bundle", sent)
    assert done.returncode == 0, done.stderr
    assert str(sent) in done.stdout
    done = call("merge", suite, sent, "--results", ours)
    assert done.returncode == 0, done.stderr
    assert "3 cells added, 0 the same, 0 in conflict" in done.stdout
    assert "3 ok, 0 skip, 0 failed, 0 missing" in call("status", suite, "--results", ours).stdout
    (cell, *_) = store_as_before(theirs / "small")
    record = json.loads(cell.read_text())
    record["correct"] = record["correct"].translate({ord("0"): "1", ord("1"): "0"})
    cell.write_text(json.dumps(record))
    done = call("merge", suite, theirs, "--results", ours)
    assert done.returncode == 2
    assert f"{cell}: its checksum does not fit" in done.stderr
    del record["checksum"]
    cell.write_text(json.dumps(record))
    done = call("merge", suite, theirs, "--results", ours)
    assert done.returncode == 1
    assert "16 of 16 images differ; ours is kept" in done.stdout
    assert call("merge", suite, tmp_path / "no.zip", "--results", ours).returncode == 2


def test_a_suite_that_was_never_run_has_no_tables(
    tmp_path: Path, suite_file: Callable[..., Path]
) -> None:
    done = call("export", suite_file(), "--results", tmp_path / "none")
    assert done.returncode == 2
    assert "suite small: nothing is stored; run it first" in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("place", ["", "file/x.zip"])
def test_a_bundle_that_has_no_place_is_refused_first(
    tmp_path: Path, suite_file: Callable[..., Path], place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    done = call("export", suite_file(), "--results", tmp_path, "--bundle", tmp_path / place)
    assert done.returncode == 2
    assert done.stderr.startswith(f"--bundle: {tmp_path / place}: ")
    assert len(done.stderr.splitlines()) == 1


def graded(root: Path, scores: list[float], text: str = "=1+1\u2028\x1b[31m") -> Store:
    """A store of one clean cell whose images have scores and texts."""
    store = Store(root, SUITE.suite)
    store.put_lock(LOCK)
    ids = LOCK.datasets[CELLS[0].dataset].sample_ids
    given = np.resize(np.array(scores, np.float32), N)
    store.put(
        CellResult(
            CELLS[0].id, "ok", given > 0, ids, np.zeros(N, np.float32), 0.5, N, {},
            scores=given, texts=(text,) * N, reached=given > 0.3,
        )
    )  # fmt: skip
    return store


def test_scores_and_texts_travel(tmp_path: Path) -> None:
    sent = bundle(graded(tmp_path / "a", [0.3, 1 / 3, 0]), tmp_path / "sent.zip")
    store = Store(tmp_path / "b", SUITE.suite)
    assert merge(SUITE, store, sent).added == 1
    found = store.get(CELLS[0].id)
    assert found is not None
    assert found.scores is not None
    assert np.array_equal(found.scores, np.resize(np.array([0.3, 1 / 3, 0], np.float32), N))
    assert found.texts == ("=1+1\u2028\x1b[31m",) * N
    assert found.reached is not None
    assert found.reached.tolist() == np.resize([False, True, False], N).tolist()


def test_other_scores_are_a_conflict_and_other_words_none(tmp_path: Path) -> None:
    ours = graded(tmp_path / "a", [0.25, 0])
    same = graded(tmp_path / "b", [0.25, 0], "other words")
    merged = merge(SUITE, ours, same.folder)
    assert (merged.same, merged.conflicts) == (1, ())
    merged = merge(SUITE, ours, graded(tmp_path / "c", [0.75, 0]).folder)
    (line, _) = merge_lines(merged)
    assert "12.5% in ours, 37.5% in theirs, 20 of 40 images differ; ours is kept" in line


def test_a_line_without_scores_has_no_word_of_them() -> None:
    line = result_line(CellResult("0" * 20, "ok", np.ones(1, bool), ("a",),
                                  np.zeros(1, np.float32), 1, 1, {}))  # fmt: skip
    assert "scores" not in line
    assert "texts" not in line
    assert "reached" not in line


@pytest.mark.parametrize(
    ("field", "value"),
    [("scores", [0.5]), ("scores", [0.5, -1]), ("scores", [0.5, 10.5]), ("scores", [0.5, "nan"]),
     ("reached", "0"), ("reached", "02"), ("texts", ["a"]), ("texts", ["a", 3])],
)  # fmt: skip
def test_scores_and_texts_of_a_line_are_checked(field: str, value: list[object]) -> None:
    record = json.loads(result_line(CellResult("0" * 20, "ok", np.ones(2, bool), ("a", "b"),
                                               np.zeros(2, np.float32), 1, 1, {})))  # fmt: skip
    read_result(json.dumps({**record, "scores": [0.5, 1], "texts": ["a", ""]}).encode())
    with pytest.raises(ValidationError):
        read_result(json.dumps({**record, field: value}).encode())


def test_damage_is_in_no_table_and_in_no_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables need the details of a result, and bundles all of it."""
    store = filled(tmp_path)
    store.cells.refresh()
    bodies = store.folder / "cells" / "000001.bodies"
    content = bodies.read_bytes()
    cell, other = (store.cells.frame(bytes.fromhex(CELLS[place].id))[1] for place in (1, 2))
    for frame, place in ((cell, cell.offset), (other, other.offset + other.length - 20)):
        changed = bytearray(content)
        changed[place] ^= 1
        bodies.write_bytes(changed)
        results = read_results(SUITE, Store(tmp_path, SUITE.suite))
        whole = frame is other  # in tables
        scored = {item.cell.id: item for item in load_scored(results)}
        assert (scored[frame.cell.hex()].value is not None) == whole
        export(results)
        assert (frame.cell.hex() in (store.folder / "cells.csv").read_text()) == whole
        assert with_baseline(read_results(SUITE, Store(tmp_path, SUITE.suite)), "A", force=False)
        with pytest.raises(UserError, match=f"cell {frame.cell.hex()}: its result is damaged"):
            write_bundle(read_results(SUITE, Store(tmp_path, SUITE.suite)), tmp_path / "a.zip")
    assert "damaged" in capsys.readouterr().err
