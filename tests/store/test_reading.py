"""Absent, damaged and unreadable files: what each of them leads to."""

import errno
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import run_bench
from bench import load_results, run_suite
from bench.core.errors import Unreadable
from bench.core.language_types import Question
from bench.core.resolved_names import Lock
from bench.run.events import EventFile, read_events
from bench.store import reading
from bench.store.crafts import Craft
from bench.store.portable_records import read_result, result_line
from bench.store.results_folder import Store
from bench.store.set_aside import reasons
from bench.tasks.answer_judges import ModelJudge
from bench.trust.findings import Examined
from bench.trust.stored_findings import load_findings, save_findings
from tests.results.test_tables import SUITE
from tests.share.test_merging import filled
from tests.store.test_results_folder import ABC, DEF, PART, result
from tests.support.file_system import refuse
from tests.support.stored_cells import (
    change_body,
    forget,
    segments,
    store_as_before,
    stored_ids,
)

Read = Callable[[Store], object]
READS: dict[str, Read] = {
    f"cells/{DEF}.json": lambda store: store.get(DEF),
    f"parts/{ABC}/0000000.json": lambda store: store.part(ABC, "0000000"),
    f"../crafts/{PART}.safetensors": lambda store: store.craft(PART),
    f"trust/{ABC}.json": lambda store: load_findings(store, ABC),
}
NOT_SET_ASIDE: dict[str, Read] = {  # a damaged lock ends the command, a run writes it anew
    "lock.json": Store.lock,
    "events.jsonl": lambda store: list(read_events(store.folder / "events.jsonl")),
}
DAMAGE = {"empty": "", "cut": '{"cell_id": "', "of another kind": "[1]"}


def whole(root: Path) -> Store:
    """A store with one file of each kind."""
    store = Store(root, "s")
    store.put(result(DEF))
    store_as_before(store.folder)
    store.put_part(ABC, "0000000", result())
    store.put_craft(PART, Craft(np.zeros((1, 3, 2, 2), np.float16), 1, 1))
    save_findings(store, ABC, Examined("m", "d", "1/255", "pgd", 4, False, 1.0, ()))
    store.put_lock(Lock({"m": "h"}))
    EventFile(store.folder / "events.jsonl").ended("done")
    return store


def place(store: Store, name: str) -> Path:
    folder = store.crafts if "crafts" in name else store.folder
    return folder / name.removeprefix("../crafts/")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that are made, none of which takes time."""
    found: list[float] = []
    monkeypatch.setattr(reading.time, "sleep", found.append)
    return found


@pytest.mark.parametrize("name", [*READS, *NOT_SET_ASIDE])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_what_the_system_refuses_is_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float], name: str, number: int
) -> None:
    store = whole(tmp_path)
    path = place(store, name)
    read = {**READS, **NOT_SET_ASIDE}[name]
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        refuse(patched, path, number)
        with pytest.raises(Unreadable) as raised:
            read(store)
    assert str(raised.value).startswith(f"{path}: cannot be read (")
    assert len(str(raised.value).splitlines()) == 1
    assert len(pauses) == (number != errno.EACCES)  # which does not pass
    assert path.read_bytes() == before
    with monkeypatch.context() as patched:  # a hiccup
        refuse(patched, path, errno.ESTALE, times=1)
        assert read(store)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_named_and_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    store = whole(tmp_path)
    path = place(store, name)
    path.write_text(DAMAGE[damage])
    assert READS[name](store) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: damaged (")
    moved = store.set_aside / f"{path.parent.name}-{path.name}"
    assert line.endswith(f"; set aside as {moved}; it will be computed again")
    assert moved.read_text() == DAMAGE[damage]
    ((moved_name, reason),) = reasons(store.set_aside)
    assert moved_name == moved.name
    assert f"damaged ({reason})" in line
    assert not path.exists()
    assert READS[name](store) is None  # and is absent now
    assert capsys.readouterr().err == ""


def test_a_cell_of_another_id_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = whole(tmp_path)
    path = place(store, f"cells/{DEF}.json")
    path.write_text(path.read_text().replace(DEF, ABC))
    assert store.get(DEF) is None
    assert f"{path}: damaged (has the result of cell {ABC!r})" in capsys.readouterr().err


def test_a_file_that_was_just_replaced_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = whole(tmp_path)
    path = place(store, f"cells/{DEF}.json")
    good, seen = path.read_bytes(), reading.read_bytes(str(path))
    contents = iter([b"{", seen])
    monkeypatch.setattr("bench.store.cell_records.read_bytes", lambda path: next(contents))
    assert store.get(DEF) is not None
    assert path.read_bytes() == good


@pytest.mark.parametrize("command, file", [("export", 0), ("status", 0), ("check", 1)])
def test_a_command_ends_where_a_cell_cannot_be_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pauses: list[float],
    command: str,
    file: int,
) -> None:
    store, suite = filled(tmp_path), tmp_path / "suite.yaml"
    suite.write_text(SUITE.model_dump_json())
    path = segments(store.folder)[file]
    refuse(monkeypatch, path, errno.EIO)
    assert run_bench.main([command, str(suite), "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: cannot be read (Input/output error)")


def test_a_run_computes_again_what_is_damaged_and_stops_at_what_it_cannot_read(
    tmp_path: Path,
    suite_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pauses: list[float],
) -> None:
    attacks = [{"kind": "pgd", "eps": "2/255", "steps": 1}]
    suite = suite_file(samples=4, attacks=attacks, threats=[{"transfer": "CLIP"}])
    results = tmp_path / "results"
    before = run_suite(suite, results=results, device="cpu", check=False)
    old = load_results(before.folder)
    key = old["cell_id"].iloc[-1]
    (craft,) = (results / "crafts").glob("*.safetensors")
    made = load_file(craft)
    craft.write_bytes(craft.read_bytes()[:-7])
    bodies = change_body(before.folder, key)
    again = run_suite(suite, results=results, device="cpu", check=False)
    assert (again.computed, again.failed) == (1, 0)
    assert load_results(again.folder)["value"].tolist() == old["value"].tolist()
    assert np.array_equal(load_file(craft)["delta"], made["delta"])
    said = capsys.readouterr().err
    assert all(f"{path}: damaged (" in said for path in (bodies, craft))
    aside = before.folder / "set_aside"
    assert {name for name, _ in reasons(aside)} == {f"{key}.body", f"crafts-{craft.name}"}

    forget(before.folder, key)
    refuse(monkeypatch, craft, errno.EIO)
    with pytest.raises(Unreadable, match=craft.name):
        run_suite(suite, results=results, device="cpu", check=False)
    assert key not in stored_ids(before.folder)  # neither another craft's result, nor failed
    assert craft.exists()


def test_a_damaged_reply_of_a_judge_is_named_and_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def replies(prompts: Sequence[str]) -> Generator[str]:
        for prompt in prompts:
            asked.append(prompt)
            yield "2"

    judge = ModelJudge("m", tmp_path, replies)
    question = Question("what is it?", ("cat",), names=("cat",))
    assert judge(["a cat"], [question]).tolist() == judge(["a cat"], [question]).tolist() == [1]
    assert len(asked) == 1
    (path,) = tmp_path.glob("*/*.json")
    path.write_text(path.read_text()[:-5])
    assert judge(["a cat"], [question]).tolist() == [1]
    assert len(asked) == 2
    assert f"{path}: damaged (" in capsys.readouterr().err
    refuse(monkeypatch, path, errno.EACCES)
    with pytest.raises(Unreadable, match=path.name):
        judge(["a cat"], [question])


def test_control_characters_of_reasons_and_flags_do_not_travel(tmp_path: Path) -> None:
    hostile = result(reason="line\n\x1b[31mred", flags=("a\x9b2J", "b\tc"))
    found = read_result(result_line(hostile).encode())
    assert (found.reason, found.flags) == ("line\n\ufffd[31mred", ("a\ufffd2J", "b\ufffdc"))
    store = Store(tmp_path, "s")
    store.put(hostile)
    kept_one = store.get(ABC)
    assert kept_one is not None
    assert (kept_one.reason, kept_one.flags[0]) == ("line\n\ufffd[31mred", "a\ufffd2J")
