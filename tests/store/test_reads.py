"""How often a command reads the lock and each result."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import bench.store.snapshot
import run_bench
from bench import run_suite
from bench.store.open_files import OpenFile
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


@pytest.fixture
def bodies_read(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Return how often each body is read, by its place."""
    found: Counter[int] = Counter()
    real = OpenFile.read

    def read(self: OpenFile, start: int, length: int) -> bytes:
        found[start] += 1
        return real(self, start, length)

    monkeypatch.setattr(OpenFile, "read", read)
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
    ("arguments", "often"),
    [
        (["export"], 1),
        (["export", "--bundle", "sent.zip"], 2),  # the details for tables, and then all
        (["status"], 0),
        (["check"], 0),  # whether images are right is in the frames
        (["compare", "--baseline", "A"], 2),  # the protocol, and the flags
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_how_often_a_command_reads_what(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plans: list[object],
    bodies_read: Counter[int],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    often: int,
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
    assert counted[bodies.name] == (often > 0)  # it stays open
    assert sorted(bodies_read.values()) == [often] * (len(CELLS) if often else 0)
    assert {counted[file] for file in findings} <= {0 if name == "status" else 1}
    assert len(plans) == 1
    capsys.readouterr()


def test_how_often_a_run_reads_a_result(
    tmp_path: Path,
    suite_file: Callable[..., Path],
    plans: list[object],
    bodies_read: Counter[int],
) -> None:
    attacks = [{"kind": "pgd", "eps": "2/255", "steps": 1}]
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    suite = suite_file(samples=4, attacks=attacks, models=models, threats=["white-box"])
    # for the tables, and for the time and the largest perturbation that the trust battery asks for;
    # or to check what is stored, and for the tables
    for computed, most in ((2, 3), (0, 2)):
        plans.clear()
        bodies_read.clear()
        with reads() as counted:
            report = run_suite(suite, results=tmp_path, device="cpu")
        assert report.computed == computed
        assert counted["lock.json"] == 0
        frames, bodies = segments(report.folder)
        assert counted[frames.name] == counted[bodies.name] == 1
        assert max(bodies_read.values()) == most
        assert len(plans) == 1
