"""Arrays in files that processes share: made once, bounded, and never believed if damaged."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from bench.core import array_files, file_lock
from bench.core.array_files import Array, ArrayFiles, NotKept, Part
from bench.core.errors import TimeUp

COUNT, SHAPE = 4, (3, 5, 5)
SIZE = 128 + COUNT * 75 + 32  # header, values, checksum


def values(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)


def parts(whole: Array, read: list[int]) -> Iterator[Part]:
    """Yield rows in another order, and note those that were read."""
    for row in reversed(range(len(whole))):
        read.append(row)
        yield [row], whole[row]


def get(files: ArrayFiles, key: str = "key", seed: int = 0) -> tuple[Array, int]:
    """Return an array, and how many parts were read for it."""
    read: list[int] = []
    with files.gathering(key, lambda: None) as gather:
        found = gather(COUNT, parts(values(seed), read))
    assert np.array_equal(found, values(seed))
    return found, len(read)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArrayFiles:
    """Return a folder of arrays as a new process sees it, whatever their size."""
    monkeypatch.setattr(array_files, "_checked", set())
    return ArrayFiles(tmp_path / "arrays", smallest=0)


def test_an_array_is_made_once_and_is_a_file_of_numpy(files: ArrayFiles) -> None:
    made, known = get(files), get(files)
    assert (made[1], known[1]) == (COUNT, 0)
    assert np.array_equal(np.load(files.folder / "key.npy"), values())
    assert not list(files.folder.glob(".*"))


def test_what_is_written_into_an_array_reaches_no_file(files: ArrayFiles) -> None:
    for _ in range(2):
        found, _ = get(files)
        found[:] = 0
    get(files)


def test_an_array_is_kept_only_if_the_block_ends_well(files: ArrayFiles) -> None:
    with (
        pytest.raises(ValueError, match="changed"),
        files.gathering("key", lambda: None) as gather,
    ):
        gather(COUNT, parts(values(), []))
        raise ValueError("the images have changed")
    assert [path.name for path in files.folder.iterdir()] == ["key.lock"]
    assert get(files)[1] == COUNT


@pytest.mark.parametrize("place", ["header", "value", "checksum", "length", "empty", "other key"])
def test_a_damaged_or_foreign_file_is_made_again(
    files: ArrayFiles, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "other key":
        get(files, "other", seed=1)
        os.rename(files.folder / "other.npy", files.folder / "key.npy")
    else:
        get(files)
        content = bytearray((files.folder / "key.npy").read_bytes())
        if place in ("length", "empty"):
            del content[-1 if place == "length" else 0 :]
        else:
            content[{"header": 70, "value": 200, "checksum": -1}[place]] ^= 4
        (files.folder / "key.npy").write_bytes(content)
    monkeypatch.setattr(array_files, "_checked", set())  # as in another process
    assert get(files)[1] == COUNT
    assert get(files)[1] == 0


def test_small_arrays_stay_in_memory(files: ArrayFiles) -> None:
    small = ArrayFiles(files.folder, smallest=COUNT * 75 + 1)
    assert [get(small)[1], get(small)[1]] == [COUNT, COUNT]
    assert not files.folder.exists()


def test_the_least_recently_used_files_make_room(files: ArrayFiles) -> None:
    bounded = ArrayFiles(files.folder, smallest=0, most=3 * SIZE)
    for number, key in enumerate("abc"):
        get(bounded, key)
        os.utime(files.folder / f"{key}.npy", (number, number))
    get(bounded, "a")  # now the latest
    get(bounded, "d")
    assert {path.name for path in files.folder.iterdir()} == {
        f"{key}.{kind}" for key in "acd" for kind in ("npy", "lock")
    }


def test_files_in_use_stay_and_too_much_is_not_kept(files: ArrayFiles) -> None:
    bounded = ArrayFiles(files.folder, smallest=0, most=SIZE)
    used, _ = get(bounded, "used")
    with pytest.raises(NotKept):
        get(bounded, "new")
    assert get(bounded, "used")[1] == 0
    assert np.array_equal(used, values())
    del used
    get(bounded, "new")
    assert [path.name for path in files.folder.glob("*.npy")] == ["new.npy"]
    with pytest.raises(NotKept):
        get(ArrayFiles(files.folder, smallest=0, most=SIZE - 1), "third")


def test_what_a_killed_process_left_makes_room(files: ArrayFiles) -> None:
    get(files)
    left = files.folder / ".old.x.part"
    left.write_bytes(bytes(SIZE))  # later than the array
    get(ArrayFiles(files.folder, smallest=0, most=2 * SIZE), "new")
    assert {path.name for path in files.folder.glob("*.npy")} == {"key.npy", "new.npy"}
    assert not left.exists()


@pytest.mark.parametrize("call", ["fsync", "utime", "replace", "mkstemp", "flock", "makedirs"])
def test_a_disk_that_refuses(files: ArrayFiles, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A file that cannot be written is no error of the array, and leaves nothing."""

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "makedirs":
        files.folder.write_text("a file where the folder should be")
    else:
        place = {"mkstemp": "tempfile", "flock": "fcntl"}.get(call, "os")
        monkeypatch.setattr(f"bench.core.array_files.{place}.{call}", refuse)
    if call in ("utime", "replace"):
        get(files)
    else:
        with pytest.raises(NotKept):
            get(files)
    if files.folder.is_dir():
        assert not [path for path in files.folder.iterdir() if path.suffix == ".part"]


def test_others_wait_for_the_process_that_makes_an_array(
    files: ArrayFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_lock, "_WAIT", 0.01)
    waits = Event()
    read: list[int] = []

    def other() -> Array:
        with files.gathering("key", waits.set) as gather:
            return gather(COUNT, parts(values(), read))

    with ThreadPoolExecutor(1) as pool:
        with files.gathering("key", lambda: None) as gather:
            gather(COUNT, parts(values(), []))
            found = pool.submit(other)
            assert waits.wait(60)
            first = read.copy()
        assert np.array_equal(found.result(), values())
    assert read == first == [COUNT - 1]  # one value, which tells the size


def test_who_waits_can_give_up(files: ArrayFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "_WAIT", 0.01)

    def give_up() -> None:
        raise TimeUp("too long")

    with files.gathering("key", lambda: None) as gather:
        gather(COUNT, parts(values(), []))
        with pytest.raises(TimeUp), files.gathering("key", give_up) as other:
            other(COUNT, parts(values(), []))
    assert get(files)[1] == 0
