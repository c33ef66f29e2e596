"""Names of cells that a run has stored: equal to those that are computed, and never stale."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import load_suite, run_suite
from bench.core.resolved_names import Lock
from bench.plan import cell_names, cells
from bench.plan.cell_names import from_bytes, names_key, to_bytes
from bench.store.results_folder import Store
from bench.store.snapshot import planned_ids, read_results

ATTACKS = [
    {"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 1, "nested": True},
    {"kind": "fgsm", "eps": "1/255"},
]


@pytest.fixture
def run(suite_file: Callable[..., Path], tmp_path: Path) -> Path:
    """A suite's file after its run, whose results are in `tmp_path`."""
    file = suite_file(samples=2, attacks=ATTACKS, threats=["white-box", {"transfer": "CLIP"}])
    run_suite(file, results=tmp_path, device="cpu", check=False)
    return file


def test_names_that_a_run_stored_are_those_of_its_cells(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, store = load_suite(run), Store(tmp_path, "small")
    computed = cells.expand(suite, store.lock())
    with monkeypatch.context() as patched:
        patched.setattr(cell_names, "digest_of_texts", lambda _: pytest.fail("one was computed"))
        results = read_results(suite, store)
        assert list(results.cells) == computed
        assert [each.hex() for each in planned_ids(suite, store)] == [c.id for c in computed]
    assert not results.missing()


def test_names_are_computed_where_anything_changed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, store = load_suite(run), Store(tmp_path, "small")
    key = names_key(suite, store.lock())
    names = store.names(key)
    assert names is not None
    assert store.names(names_key(suite.model_copy(update={"seed": 1}), store.lock())) is None
    assert store.names(names_key(suite, Lock())) is None
    with monkeypatch.context() as patched:
        patched.setattr(cell_names, "_code", lambda: b"changed")
        assert store.names(names_key(suite, store.lock())) is None
    content = to_bytes(key, names)
    assert from_bytes(key, content) == names
    for place in range(0, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 1
        assert from_bytes(key, bytes(changed)) is None
        assert from_bytes(key, content[:place]) is None
    (store.folder / "cells.names").write_bytes(b"")
    assert not read_results(suite, store).missing()
