from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.store.results_folder import Craft, Store
from bench.store.writing import write_text
from tests.support.stored_cells import is_finished

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
    path = tmp_path / "s" / "cells" / f"{DEF}.json"
    store.put(result(DEF))
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
    Store(tmp_path, "s").put(result())
    assert (tmp_path / "s" / "cells" / f"{ABC}.json").read_text() == (
        f'{{"cell_id": "{ABC}", "status": "ok", "correct": "101", "sample_ids": "a|b|c", '
        '"distance": '
        '"000000000000803e0000003f", "seconds": 1.5, "queries": 12, "provenance": {"torch": "2"}, '
        '"reason": null, "flags": []}'
    )
    found = Store(tmp_path, "s").get(ABC)
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
