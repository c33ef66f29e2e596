import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from bench.core.errors import DiskFull, UserError
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.store.crafts import Craft
from bench.store.results_folder import Store
from bench.store.set_aside import reasons
from bench.store.writing import write_text
from radapt import atomic_write
from tests.support.clock import Clock
from tests.support.stored_cells import is_finished, store_as_before

ABC, DEF = "abc0" * 5, "def0" * 5
PART = f"{ABC}.0000000"


def result(cell_id: str = ABC, status: str = "ok", **changes: object) -> CellResult:
    values: dict[str, object] = {
        "correct": np.array([True, False, True]),
        "sample_ids": ("a", "b", "c"),
        "distance": np.array([0.0, 0.25, 0.5], np.float32),
        "seconds": 1.5,
        "queries": 12,
        "provenance": {"torch": "2"},
        "reason": None,
        **changes,
    }
    return CellResult(cell_id=cell_id, status=status, **values)  # type: ignore[arg-type]


def test_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put(result())
    found = store.get(ABC)
    assert found is not None
    assert np.array_equal(found.correct, [True, False, True])
    assert np.array_equal(found.distance, np.array([0, 0.25, 0.5], np.float32))
    assert (found.sample_ids, found.seconds, found.queries) == (("a", "b", "c"), 1.5, 12)
    assert is_finished(store, ABC)


def test_results_are_flushed_to_disk_together_and_at_most_once_a_second(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = atomic_write.flush_to_disk
    monkeypatch.setattr(
        atomic_write, "flush_to_disk", lambda path: (flushed.append(path.name), real(path))
    )
    store = Store(tmp_path, "s")
    ids = [f"{place:020x}" for place in range(6)]
    store.put(result(ids[0]))
    first = sorted(flushed)  # with the list of images, which all cells share
    assert [name for name in first if name[0] != "."] == ["000001.bodies", "000001.cells"]
    for key in ids[1:4]:
        clock.sleep(0.3)
        store.put(result(key))
    assert sorted(flushed) == first
    clock.sleep(0.3)
    store.put(result(ids[4]))
    assert sorted(flushed[len(first) :]) == ["000001.bodies", "000001.cells"]
    store.put(result(ids[5]))
    shutil.rmtree(tmp_path / "s" / "cells")
    store.flush()  # a file that was removed meanwhile is no error


def test_a_disk_that_takes_no_result_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        Store(tmp_path, "s").put(result())


def test_distances_are_kept_as_they_are(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    distance = np.array([4 / 255, 1e-9, 0.1], np.float32)
    store.put(result(distance=distance))
    found = store.get(ABC)
    assert found is not None
    assert np.array_equal(found.distance, distance)
    found.distance[0] = 0  # whoever reads a result may go on with its arrays
    found.correct[0] = False


@pytest.mark.parametrize(
    "ids", [("a|b", "c|", "d"), ("ä\n", '"', "\u2028"), ("", "", ""), ("x y", "t/1.tar/2", "\\")]
)
def test_images_may_be_called_anything(tmp_path: Path, ids: tuple[str, ...]) -> None:
    store = Store(tmp_path, "s")
    store.put(result(sample_ids=ids))
    found = store.get(ABC)
    assert found is not None
    assert found.sample_ids == ids


def test_no_images(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    empty = np.zeros(0, np.float32)
    store.put(result(DEF, "skip", correct=empty > 0, sample_ids=(), distance=empty))
    found = store.get(DEF)
    assert found is not None
    assert (len(found.correct), found.sample_ids, len(found.distance)) == (0, (), 0)
    assert is_finished(store, DEF)


def test_records_with_lists_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "s" / "cells" / f"{ABC}.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'{{"cell_id": "{ABC}", "status": "ok", "correct": "101", "sample_ids": ["a", "b|", "c"], '
        '"distance": [0.0, 0.25, 0.5], "seconds": 1.5, "queries": 12, "provenance": {}, '
        '"reason": null}'
    )
    found = Store(tmp_path, "s").get(ABC)
    assert found is not None
    assert found.sample_ids == ("a", "b|", "c")
    assert np.array_equal(found.correct, [True, False, True])
    assert np.array_equal(found.distance, np.array([0, 0.25, 0.5], np.float32))


def test_failures_and_damage_are_not_finished(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put(result(ABC, "failed", reason="why"))
    assert not is_finished(store, ABC)
    assert not is_finished(store, "0" * 20)
    store.put(result(DEF))
    path = next(path for path in store_as_before(store.folder) if path.stem == DEF)
    whole = path.read_text()
    cuts = [whole[:end] for end in range(0, len(whole), 7)]
    mixed = whole.replace('"distance": "', '"distance": "!')
    for damage in (*cuts, mixed, "[]", '"x"', "3", '{"cell_id": "x"}'):
        path.write_text(damage)
        assert not is_finished(store, DEF), damage


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_lock_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    assert store.lock() == Lock()
    lock = Lock({"CLIP": "h"}, {"d": DatasetLock("f", ("a",), ("x",), ("{c}",))})
    store.put_lock(lock)
    assert store.lock() == lock
    (tmp_path / "s" / "lock.json").write_text("{")
    with pytest.raises(UserError, match=r"lock\.json: damaged"):
        store.lock()


def test_crafts(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    assert store.craft(PART) is None
    deltas = np.full((2, 3, 4, 4), 1 / 255, np.float16)
    store.put_craft(PART, Craft(deltas, 5, 3))
    found = Store(tmp_path, "another suite").craft(PART)
    assert found is not None
    assert np.array_equal(found.kept, deltas)
    assert (found.forwards, found.backwards) == (5, 3)


SCORED: dict[str, object] = {
    "scores": np.array([0.3, 1e-7, 10], np.float32),
    "texts": ('=cmd("x")', "", "two\nlines | 日本"),
}


def test_scores_and_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put_part(ABC, "0000000", result(**SCORED))
    store.put(result(DEF, **SCORED))
    for found in (store.part(ABC, "0000000"), store.get(DEF)):
        assert found is not None
        assert found.scores is not None
        assert found.scores.dtype == np.float32
        assert np.array_equal(found.scores, np.array([0.3, 1e-7, 10], np.float32))
        assert found.texts == SCORED["texts"]
        assert found.values == pytest.approx([0.3, 1e-7, 10])


def test_a_record_without_scores_is_as_it_always_was(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put_part(ABC, "0000000", result())
    record = (
        f'{{"cell_id": "{ABC}", "status": "ok", "correct": "101", "sample_ids": "a|b|c", '
        '"distance": '
        '"000000000000803e0000003f", "seconds": 1.5, "queries": 12, "provenance": {"torch": "2"}, '
        '"reason": null, "flags": []'
    )
    text = (tmp_path / "s" / "parts" / ABC / "0000000.json").read_text()
    assert re.fullmatch(re.escape(f'{record}, "checksum": "') + '[0-9a-f]{64}"}', text)
    found = store.part(ABC, "0000000")
    assert found is not None
    assert found.scores is None
    assert found.texts == ()
    assert found.values.dtype == np.bool_


def test_a_record_has_whose_target_was_reached(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put(result(reached=np.array([True, False, True])))
    found = store.get(ABC)
    assert found is not None and found.reached is not None
    assert found.reached.tolist() == [True, False, True]


def test_half_a_character_does_not_make_a_record_unreadable(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put(result(texts=("a\ud800b", "", "")))
    found = store.get(ABC)
    assert found is not None
    assert found.texts == ("a?b", "", "")


def changed_record(store: Store, keep_checksum: bool, **changes: object) -> Path:
    """Store a result as earlier versions did, and change values in its file."""
    Store(store.folder.parent, store.folder.name).put(result())
    (path,) = store_as_before(store.folder)
    record = {**json.loads(path.read_text()), **changes}
    if not keep_checksum:
        del record["checksum"]
    path.write_text(json.dumps(record))
    return path


LIES: dict[str, dict[str, object]] = {
    "a flipped digit": {"correct": "111"},
    "an unknown status": {"status": "great"},
    "fewer distances than images": {"distance": "000000000000803e"},
    "more answers than images": {"texts": ["a"] * 4},
    "no images": {"correct": "", "sample_ids": "", "distance": ""},
    "a digit that is none": {"correct": "1x1"},
    "a distance that is not a number": {"distance": "000000000000803e0000c07f"},
    "a negative time": {"seconds": -1.0},
    "an image twice": {"sample_ids": "a|b|b"},
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("has_checksum", [True, False])
def test_a_changed_record_is_set_aside(tmp_path: Path, lie: str, has_checksum: bool) -> None:
    if lie == "a flipped digit" and not has_checksum:
        return  # nothing in a record of an earlier version contradicts another digit
    store = Store(tmp_path, "s")
    path = changed_record(store, has_checksum, **LIES[lie])
    assert store.get(ABC) is None
    assert not path.exists()
    assert len(list(reasons(store.set_aside))) == 1


def test_a_record_without_a_checksum_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    changed_record(store, keep_checksum=False)
    found = store.get(ABC)
    assert found is not None and found.correct.tolist() == [True, False, True]


def test_a_record_under_another_name_is_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put(result())
    store_as_before(store.folder)
    cells = store.folder / "cells"
    (cells / f"{DEF}.json").write_text((cells / f"{ABC}.json").read_text().replace(ABC, DEF))
    assert store.get(DEF) is None
    store.put_part(ABC, "0000000", result())
    parts = store.folder / "parts" / ABC
    (parts / "0000064.json").write_text((parts / "0000000.json").read_text())
    assert store.part(ABC, "0000064") is None
    store.put_craft(PART, CRAFT)
    other = f"{DEF}.0000000"
    shutil.copy(store.crafts / f"{PART}.safetensors", store.crafts / f"{other}.safetensors")
    assert store.craft(other) is None
    assert len(list(reasons(store.set_aside))) == 3
    assert store.get(ABC) and store.part(ABC, "0000000") and store.craft(PART)


CRAFT = Craft(np.full((2, 3, 4, 4), 1 / 255, np.float16), 5, 3)
SHAPE = (2, 3, 4, 4)
WRONG_CRAFTS = {
    "zeros": np.zeros(SHAPE, np.float16),
    "not a number": np.full(SHAPE, np.nan, np.float16),
    "fewer images": CRAFT.kept[:1],
    "another type": CRAFT.kept.astype(np.float32),
}


@pytest.mark.parametrize("wrong", WRONG_CRAFTS)
@pytest.mark.parametrize("has_checksum", [True, False])
def test_a_changed_craft_is_set_aside(tmp_path: Path, wrong: str, has_checksum: bool) -> None:
    store = Store(tmp_path, "s")
    store.put_craft(PART, CRAFT)
    path = store.crafts / f"{PART}.safetensors"
    with safe_open(path, "numpy") as file:
        facts = file.metadata()
    if not has_checksum:
        del facts["checksum"]
    save_file({"delta": CRAFT.kept}, path, facts)
    assert store.craft(PART, SHAPE) is not None
    save_file({"delta": WRONG_CRAFTS[wrong]}, path, facts)
    assert store.craft(PART, SHAPE) is None
    assert [name for name, _ in reasons(store.set_aside)] == [f"crafts-{PART}.safetensors"]


def test_files_that_are_set_aside_under_one_name_are_all_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    for status in ("great", "fine"):
        changed_record(store, keep_checksum=False, status=status)
        assert store.get(ABC) is None
    found = dict(reasons(store.set_aside))
    assert set(found) == {f"cells-{ABC}.json", f"cells-{ABC}.json.2"}
    assert "'great'" in found[f"cells-{ABC}.json"]
    assert "'fine'" in found[f"cells-{ABC}.json.2"]
