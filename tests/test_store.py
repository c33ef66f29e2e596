from pathlib import Path

import numpy as np
import pytest

from bench.errors import UserError
from bench.plan import DatasetLock, Lock
from bench.store import Craft, Store, write_text
from bench.types import CellResult


def result(cell_id: str = "abc", status: str = "ok", **changes: object) -> CellResult:
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
    found = store.get("abc")
    assert found is not None
    assert np.array_equal(found.correct, [True, False, True])
    assert np.array_equal(found.distance, np.array([0, 0.25, 0.5], np.float32))
    assert (found.sample_ids, found.seconds, found.queries) == (("a", "b", "c"), 1.5, 12)
    assert store.finished("abc")


def test_failures_and_damage_are_not_finished(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.put(result("failed", "failed", reason="why"))
    assert not store.finished("failed")
    assert not store.finished("absent")
    for damage in ("", '{"cell_id": "half', "[]", '{"cell_id": "x"}'):
        store.put(result("torn"))
        (tmp_path / "s" / "cells" / "torn.json").write_text(damage)
        assert not store.finished("torn")


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
    assert store.craft("c") is None
    deltas = np.full((2, 3, 4, 4), 1 / 255, np.float16)
    store.put_craft("c", Craft(deltas, 5, 3))
    found = Store(tmp_path, "another suite").craft("c")
    assert found is not None
    assert np.array_equal(found.kept, deltas)
    assert (found.forwards, found.backwards) == (5, 3)
