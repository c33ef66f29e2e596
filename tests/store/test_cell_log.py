"""Results in segments: what a kill, a changed byte, another process or a merge does to them."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.types import CellResult
from bench.store import tidying
from bench.store.results_folder import Store
from bench.store.segments import SegmentWriter
from bench.store.set_aside import reasons
from tests.store.test_results_folder import result
from tests.support.file_system import reads
from tests.support.stored_cells import segments, store_as_before, stored_ids, whole_results

IDS = [f"{place:020x}" for place in range(5)]
RESULTS = [
    result(IDS[0]),
    result(IDS[1], "failed", correct=np.zeros(0, bool), sample_ids=(), distance=np.zeros(0)),
    result(IDS[2], correct=np.arange(21) % 2 > 0, sample_ids=tuple("abcdefghijklmnopqrstu"),
           distance=np.linspace(0, 1, 21, dtype=np.float32), texts=tuple("ABCDEFGHIJKLMNOPQRSTU")),
    result(IDS[3], seconds=2.5, flags=("nested",)),
    result(IDS[4]),
]  # fmt: skip


def same(one: CellResult, other: CellResult) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(CellResult)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def filled(root: Path, results: Sequence[CellResult] = RESULTS) -> Store:
    store = Store(root, "s")
    for each in results:
        store.put(each)
    return store


def read(root: Path) -> dict[str, CellResult]:
    return whole_results(Store(root, "s"), IDS)


def test_what_was_put_is_read_by_any_process_at_once(tmp_path: Path) -> None:
    reader, writer = Store(tmp_path, "s"), Store(tmp_path, "s")
    for number, each in enumerate(RESULTS):
        writer.put(each)
        found = whole_results(reader, IDS)
        assert list(found) == IDS[: number + 1]
        assert same(found[each.cell_id], each)
    again = replace(RESULTS[1], reason="another")
    Store(tmp_path, "s").put(again)  # by another process, so in another segment
    later = reader.get(IDS[1])
    assert later is not None and later.reason == "another"
    assert [path.name for path in segments(reader.folder)] == [
        "000001.cells", "000002.cells", "000001.bodies", "000002.bodies",
    ]  # fmt: skip


def test_a_kill_at_any_byte_loses_only_what_was_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = filled(tmp_path / "whole").folder / "cells"
    frames, ends = (whole / "000001.cells").read_bytes(), list[int]()
    for number in range(len(RESULTS)):
        some = filled(tmp_path / str(number), RESULTS[: number + 1]).folder / "cells"
        ends.append((some / "000001.cells").stat().st_size)
    cut = tmp_path / "cut" / "s" / "cells"
    shutil.copytree(whole, cut)
    for size in range(len(frames) + 1):
        for rest in (b"", bytes(len(frames) - size)):  # zeros where a disk lost its power
            (cut / "000001.cells").write_bytes(left := frames[:size] + rest)
            complete = sum(left[:end] == frames[:end] for end in ends)
            assert list(read(tmp_path / "cut")) == IDS[:complete], size
    assert capsys.readouterr().err == ""  # nothing is damaged: it was never complete
    (cut / "000001.cells").write_bytes(frames[: ends[2] + 9])
    filled(tmp_path / "cut", RESULTS[3:])  # the next process does not write to it
    assert list(read(tmp_path / "cut")) == IDS


@pytest.mark.parametrize("name", ["*.cells", "*.bodies", "*.images"])
def test_a_changed_byte_never_changes_a_result(tmp_path: Path, name: str) -> None:
    folder = filled(tmp_path).folder
    path = next((folder / "cells").glob(name))
    content = path.read_bytes()
    lost = 0
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        found = read(tmp_path)
        assert all(same(each, RESULTS[IDS.index(key)]) for key, each in found.items()), place
        lost += len(found) < len(RESULTS)
    assert lost > 0.95 * len(range(0, len(content), 3))  # a few bits of a stream say nothing
    assert any(reasons(folder / "set_aside"))


def test_what_is_damaged_is_computed_and_removed_by_the_next_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = filled(tmp_path).folder
    path = folder / "cells" / "000001.cells"
    content = bytearray(path.read_bytes())
    content[9] ^= 1  # of the first cell's id
    path.write_bytes(content)
    store = Store(tmp_path, "s")
    store.tidy()
    assert f"{path}: damaged (000001.cells: 50 bytes were changed); set aside" in (
        capsys.readouterr().err
    )
    assert list(whole_results(store, IDS)) == IDS[1:]
    store.put(RESULTS[0])
    assert list(read(tmp_path)) == IDS
    assert not path.exists()
    assert capsys.readouterr().err == ""


def test_files_of_earlier_versions_are_read_and_taken_over(tmp_path: Path) -> None:
    folder = filled(tmp_path).folder
    old = store_as_before(folder)
    store = Store(tmp_path, "s")
    store.put(newer := replace(RESULTS[0], seconds=9.0))
    expected = [newer, *RESULTS[1:]]
    for _ in range(2):  # as they are, and after they were taken over
        found = read(tmp_path)
        assert all(same(found[each.cell_id], each) for each in expected)
        Store(tmp_path, "s").tidy()
        assert not any(path.exists() for path in old)


def test_many_segments_are_merged_and_a_kill_meanwhile_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        for each in RESULTS:
            filled(tmp_path, [replace(each, queries=number)])
    folder = tmp_path / "s"
    expected = [replace(each, queries=9) for each in RESULTS]

    def kept() -> bool:
        found = read(tmp_path)
        return all(same(found[each.cell_id], each) for each in expected)

    class Killed(BaseException):
        pass

    def killed_after(steps: int) -> Iterator[None]:
        real_append, real_unlink, left = SegmentWriter.append, Path.unlink, [steps]

        def step() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        def append(self: SegmentWriter, *given: list[bytes]) -> None:
            step()
            real_append(self, *given)  # type: ignore[arg-type]

        def unlink(self: Path, missing_ok: bool = False) -> None:
            step()
            real_unlink(self, missing_ok)

        with monkeypatch.context() as patched:
            patched.setattr(SegmentWriter, "append", append)
            patched.setattr(Path, "unlink", unlink)
            patched.setattr(tidying, "_AT_ONCE", 2)
            yield

    before, ended = tmp_path / "before", 0
    shutil.copytree(folder, before)
    for steps in range(0, 200, 7):
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        reader = Store(tmp_path, "s")
        whole_results(reader, IDS)
        for _ in killed_after(steps):
            try:
                Store(tmp_path, "s").tidy()
                ended += 1
            except Killed:
                pass
        assert kept(), steps
        Store(tmp_path, "s").tidy()
        assert kept()
        assert all(
            same(a, b) for a, b in zip(whole_results(reader, IDS).values(), expected, strict=True)
        )
    assert 0 < ended < 29
    assert len(segments(folder)) == 2
    assert stored_ids(folder) == set(IDS)


def test_a_write_that_fails_half_way_spoils_no_later_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path, RESULTS[:2])
    with monkeypatch.context() as patched:
        real = open

        def half(path: Path, mode: str) -> object:
            if path.suffix == ".cells":
                path.write_bytes(path.read_bytes() + b"\xabRF1half")
                raise OSError(28, "full")
            return real(path, mode)

        patched.setattr("builtins.open", half)
        with pytest.raises(Exception, match="the disk is full"):
            store.put(RESULTS[2])
    for each in RESULTS[2:]:
        store.put(each)
    assert list(whole_results(store, IDS)) == list(read(tmp_path)) == IDS


def test_statuses_are_read_without_the_results(tmp_path: Path) -> None:
    folder = filled(tmp_path).folder
    expected = {bytes.fromhex(each.cell_id): each.status for each in RESULTS}
    with reads() as counted:
        assert Store(tmp_path, "s").statuses() == expected
    assert sum(counted[path.name] for path in segments(folder)) == 1
    store_as_before(folder)
    assert Store(tmp_path, "s").statuses() == expected
