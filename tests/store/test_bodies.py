"""Bodies of results: their two parts, damage to either, and those of an earlier version."""

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.types import FIELDS, CellResult
from bench.store.cell_records import details_from_body, result_from_body, result_to_body
from bench.store.checksums import with_checksum
from bench.store.open_files import OpenFile
from bench.store.results_folder import Store
from bench.store.set_aside import reasons
from tests.store.test_cell_log import same
from tests.store.test_results_folder import ABC, DEF, result

RESULT = result(scores=np.array([1, 0.5, 0], np.float32), flags=("x",), load_seconds=2.0)


def parts(body: bytes) -> tuple[bytes, bytes]:
    """Return the details and the values per image."""
    details, end, values = body.partition(b"\n")
    return details + end, values


def read(body: bytes, cell_id: str = ABC) -> CellResult:
    return result_from_body(body, cell_id, RESULT.correct, RESULT.sample_ids)


def test_details_are_read_without_the_values_per_image() -> None:
    details, _ = parts(result_to_body(RESULT))
    assert details_from_body(details, ABC) == RESULT.details()
    assert same(read(result_to_body(RESULT)), RESULT)


def test_a_body_of_an_earlier_version_is_one_object() -> None:
    values = {
        "cell_id": ABC, "status": "ok", "seconds": 1.5, "queries": 12, "reason": None,
        "provenance": {"torch": "2"}, "flags": ["x"], "load_seconds": 2.0,
        "distance": RESULT.distance.tobytes().hex(),
        "scores": np.array([1, 0.5, 0], np.float32).tobytes().hex(),
    }  # fmt: skip
    body = zlib.compress(with_checksum(ABC, json.dumps(values)).encode())
    assert values.keys() == FIELDS.keys() - {"correct", "sample_ids", "texts", "reached"}
    assert details_from_body(body, ABC) == RESULT.details()
    assert same(read(body), RESULT)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda ours, theirs: theirs[0] + ours[1],
        lambda ours, theirs: ours[0] + theirs[1],
        lambda ours, theirs: ours[0],
        lambda ours, theirs: ours[0] + ours[0],
        lambda ours, theirs: ours[1],
        lambda ours, theirs: ours[0] + ours[1][:-9],
    ],
    ids=["their details", "their values", "no values", "details twice", "no details", "cut off"],
)
def test_parts_of_other_bodies_are_refused(
    mixed: Callable[[tuple[bytes, bytes], tuple[bytes, bytes]], bytes],
) -> None:
    ours, theirs = (parts(result_to_body(replace(RESULT, cell_id=key))) for key in (ABC, DEF))
    with pytest.raises((ValueError, KeyError, TypeError)):
        read(mixed(ours, theirs))


def test_damage_to_values_per_image_leaves_the_details(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path, "s")
    store.put(RESULT)
    bodies = store.folder / "cells" / "000001.bodies"
    content = bytearray(bodies.read_bytes())
    content[-20] ^= 1
    bodies.write_bytes(content)
    found = Store(tmp_path, "s").find([ABC])[ABC]
    assert (found.status, found.size, found.right) == ("ok", 3, 2)
    assert found.details() == RESULT.details()
    assert capsys.readouterr().err == ""
    assert found.whole() is None
    assert f"{bodies}: damaged ({ABC}.body: " in capsys.readouterr().err
    assert [name for name, _ in reasons(store.set_aside)] == [f"{ABC}.body"]


def test_a_run_finds_damage_before_it_counts_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path, "s")
    for each in (RESULT, result(DEF)):
        store.put(each)
    bodies = store.folder / "cells" / "000001.bodies"
    content = bytearray(bodies.read_bytes())
    content[-20] ^= 1  # of the last
    bodies.write_bytes(content)
    again = Store(tmp_path, "s")
    again.tidy()
    assert list(again.find([ABC, DEF])) == [ABC]
    assert f"{bodies}: damaged ({DEF}.body: " in capsys.readouterr().err
    later = Store(tmp_path, "s")
    later.tidy()
    assert list(later.find([ABC, DEF])) == [ABC]
    assert capsys.readouterr().err == ""  # told once


def test_a_file_stays_open_and_shows_what_another_process_wrote(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    file, before = OpenFile(path), len(os.listdir("/proc/self/fd"))
    assert file.read(1, 2) == b"bc"
    assert file.read(1, 9) == b"bc"  # it ends before
    with path.open("ab") as more:
        more.write(b"def")
    assert file.read(2, 3) == b"cde"
    other = tmp_path / "g"
    other.write_bytes(b"ABCDEFGHI")
    other.replace(path)
    assert file.read(2, 7) == b"CDEFGHI"  # longer than what was open
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del file
    assert len(os.listdir("/proc/self/fd")) == before
    path.unlink()
    with pytest.raises(FileNotFoundError):
        OpenFile(path).read(0, 1)


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    files = []
    for number in range(100):
        path = tmp_path / str(number)
        path.write_bytes(b"%03d" % number)
        files.append(OpenFile(path))
    for _ in range(2):
        assert [file.read(0, 3) for file in files] == [b"%03d" % each for each in range(100)]
        assert len(os.listdir("/proc/self/fd")) <= before + 32
    assert [file.read(0, 3) for file in files[-2:] * 3] == [b"098", b"099"] * 3


def test_details_are_never_those_of_a_later_result(tmp_path: Path) -> None:
    reader, writer = Store(tmp_path, "s"), Store(tmp_path, "s")
    writer.put(RESULT)
    found = reader.find([ABC])[ABC]
    writer.put(replace(RESULT, correct=~RESULT.correct, seconds=9.0))
    assert found.details() == RESULT.details()  # its body is still there
    later = reader.find([ABC])[ABC]
    for _ in range(9):
        writer.put(replace(RESULT, seconds=7.0))
    Store(tmp_path, "s").tidy()  # merges, and removes the old files
    assert reader.find([ABC])[ABC].details().seconds == 7.0  # type: ignore[union-attr]
    reader.cells.segments.clear()
    for each in (found, later):
        each.segment.bodies.unlink(missing_ok=True)  # type: ignore[attr-defined]
        each.segment._open_bodies = OpenFile(each.segment.bodies)  # type: ignore[attr-defined]
    assert found.details().seconds == 7.0  # type: ignore[union-attr]  # equal in all that counts
    assert later.details() is None  # other images are right in the newer result
