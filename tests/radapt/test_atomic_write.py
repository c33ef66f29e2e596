"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from radapt.atomic_write import write_atomically


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.pt"
    write_atomically(path, lambda part: part.write_bytes(b"old"))

    def broken(part: Path) -> None:
        part.write_bytes(b"ne")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(path, broken)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["state.pt"]


def test_two_writers_of_one_path_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"

    def outer(part: Path) -> None:
        part.write_text("outer")
        write_atomically(path, lambda inner: inner.write_text("inner"))

    write_atomically(path, outer)
    assert path.read_text() == "outer"
