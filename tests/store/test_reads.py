"""How often a command reads the lock and each result: once."""

from collections.abc import Callable
from pathlib import Path

import pytest

import bench.store.snapshot
import run_bench
from bench import run_suite
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined, Finding
from bench.trust.stored_findings import findings_and_todo, save_findings, trust_id
from tests.results.test_tables import SUITE
from tests.share.test_merging import CELLS, filled
from tests.support.file_system import reads
from tests.support.stored_cells import segments


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the calls that expand a suite into cells."""
    found: list[object] = []
    real = bench.store.snapshot.expand

    def expand(*arguments: object) -> object:
        found.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.store.snapshot, "expand", expand)
    return found


def examined(store: Store) -> list[str]:
    """Keep the findings of every number, and return the names of their files."""
    results = read_results(SUITE, store)
    _, numbers = findings_and_todo(results, deep=False)
    names = []
    for pair, number in numbers.items():
        key = trust_id(SUITE, results.lock, pair, number, deep=False)
        findings = tuple(Finding(check, "pass", "fine") for check in EXPLANATIONS)
        save_findings(store, key, Examined(*pair, "1/255", "pgd", 4, False, 1.0, findings))
        names.append(f"{key}.json")
    return names


@pytest.mark.parametrize(
    "arguments",
    [
        *(["export"], ["export", "--bundle", "sent.zip"], ["status"]),
        *(["check"], ["compare", "--baseline", "A"]),
    ],
    ids=" ".join,
)
def test_a_command_reads_everything_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plans: list[object],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    store = filled(tmp_path)
    findings = examined(store)
    assert len(findings) == 4
    (tmp_path / "suite.yaml").write_text(SUITE.model_dump_json())
    plans.clear()
    name, *options = arguments
    with reads() as counted:
        assert run_bench.main([name, "suite.yaml", *options, "--results", str(tmp_path)]) == 0
    assert counted["lock.json"] == 1
    frames, bodies = segments(store.folder)
    assert counted[frames.name] == 1
    assert counted[bodies.name] == (0 if name == "status" else len(CELLS))  # each body
    assert {counted[file] for file in findings} <= {0 if name == "status" else 1}
    assert len(plans) == 1
    capsys.readouterr()


def test_a_run_reads_a_result_once_after_it_wrote_it(
    tmp_path: Path, suite_file: Callable[..., Path], plans: list[object]
) -> None:
    attacks = [{"kind": "pgd", "eps": "2/255", "steps": 1}]
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    suite = suite_file(samples=4, attacks=attacks, models=models, threats=["white-box"])
    for computed, opened in ((2, 1), (0, 1)):  # after it was written, or at first
        plans.clear()
        with reads() as counted:
            report = run_suite(suite, results=tmp_path, device="cpu")
        assert report.computed == computed
        assert counted["lock.json"] == 0
        frames, bodies = segments(report.folder)
        assert counted[frames.name] == opened
        assert counted[bodies.name] == 2
        assert len(plans) == 1
