"""Digests of large files are kept between processes, and never belong to other content."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core import digests, remembered_digests
from bench.core.digests import hash_files, sha256

Hash = Callable[[Path], tuple[bool, bytes]]


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hash:
    """Return a function that hashes a file as a new process would: was it read, and its digest."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_LARGE", 4)
    monkeypatch.setattr(remembered_digests, "_SETTLED", -1)
    reads = []
    read = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: reads.append(1) or read(*args))

    def function(path: Path) -> tuple[bool, bytes]:
        digests._known.clear()
        reads.clear()
        found = sha256(path)
        assert found == hashlib.sha256(path.read_bytes()).digest()
        return bool(reads), found

    return function


def entries(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_large_file_is_read_once(hashed: Hash, tmp_path: Path) -> None:
    large, small = tmp_path / "large.pt", tmp_path / "small.pt"
    large.write_bytes(b"content")
    small.write_bytes(b"c")
    assert [hashed(large)[0], hashed(large)[0]] == [True, False]
    assert [hashed(small)[0], hashed(small)[0]] == [True, True]
    assert hash_files([large, small]) == hash_files([large, small])


def test_other_content_of_equal_size_and_time_is_read(hashed: Hash, tmp_path: Path) -> None:
    path, other = tmp_path / "a.pt", tmp_path / "b.pt"
    path.write_bytes(b"content")
    state = path.stat()
    first = hashed(path)[1]
    for replace in (path.write_bytes, lambda new: (other.write_bytes(new), other.rename(path))):
        replace(b"changed" if replace == path.write_bytes else b"a third")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        read, found = hashed(path)
        assert read
        assert found != first


def test_a_damaged_entry_is_not_used(hashed: Hash, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(b"content")
    hashed(path)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    for damaged in (b"", whole[:32], bytes([whole[0] ^ 1]) + whole[1:]):
        entry.write_bytes(damaged)
        assert hashed(path)[0]
        assert not hashed(path)[0]


def test_files_that_changed_just_now_are_not_kept(
    hashed: Hash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_digests, "_SETTLED", 10**12)
    (tmp_path / "a.pt").write_bytes(b"content")
    hashed(tmp_path / "a.pt")
    assert entries(tmp_path) == []


def test_a_cache_folder_that_cannot_be_written_changes_nothing(
    hashed: Hash, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    (tmp_path / "a.pt").write_bytes(b"content")
    assert hashed(tmp_path / "a.pt")[0]
    assert hashed(tmp_path / "a.pt")[0]


def test_a_process_holds_the_digests_of_the_latest_files(
    hashed: Hash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_MOST", 2)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    whole = hash_files(paths)  # more at once than are held
    assert len(digests._known) == 2
    assert hash_files(paths) == whole == hashlib.sha256(b"".join(map(sha256, paths))).hexdigest()
