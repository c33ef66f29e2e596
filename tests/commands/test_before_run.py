"""A run looks first: what it would fail at, in a few lines, before it computes or downloads."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

import run_bench
from bench import load_results
from bench.commands.before_run import faults_before_run
from bench.hub import files as client
from bench.plan.missing_files import Fault, fault_lines, find_faults, refusal
from bench.suite.load import load_suite
from tests.support.hub_server import Hub
from tests.support.question_files import picture

ROOT = Path(__file__).parents[2]
CLIP = {"kind": "nano", "weights": "clip"}
REPO = "someone/wds_set"
Maker = Callable[..., Path]


def radapt(file: str) -> dict[str, Any]:
    return {"kind": "radapt", "base": "CLIP", "anchor": {"file": file}, "alpha": 1, "cutoff": 40}


@pytest.fixture
def suite(suite_file: Maker) -> Path:
    """A suite with a dataset and two models of the hub, and a sweep with a mistyped anchor."""
    plus = {**radapt("no.safetensors"), "sweep": {"alpha": [0.5, 1, 2]}}
    del plus["alpha"]
    real = {name: {"kind": "hugging_face", "name": f"org/{name}"} for name in ("one", "two")}
    sets = [{"kind": "hub", "name": "set", "repo": REPO}, "digits"]
    models = {"CLIP": CLIP, "Plus": plus, **real}
    return suite_file(models=models, datasets=sets, attacks=None, threats=None)


@pytest.fixture
def offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    client._unreachable.cache_clear()


def run(path: Path, tmp_path: Path, *options: str) -> int:
    results = ("--results", str(tmp_path / "results"))
    return run_bench.main(["run", str(path), *results, "--device", "cpu", "--no-check", *options])


@pytest.mark.usefixtures("offline")
def test_all_is_said_at_once_in_a_few_lines(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(suite, tmp_path) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "6 entries of the suite cannot be used here"
    (absent,) = (line for line in told if "not on this machine" in line)
    assert absent.strip() == "not on this machine: datasets.set; models: one, two"
    (anchor,) = (line for line in told if "no such anchor" in line)
    swept = ", ".join(f"Plus[alpha={alpha}]" for alpha in (0.5, 1, 2))
    assert anchor.strip().startswith(f"models: {swept}: no.safetensors: no such anchor; looked")
    assert sum("127.0.0.1:9 cannot be reached" in line for line in told) == 1
    assert "--go-on" in told[-1]
    assert len(told) == 6
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("offline")
def test_go_on_computes_the_rest_and_tells_each_reason_once(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(suite, tmp_path, "--go-on") == 1
    lines = capsys.readouterr().err.splitlines()
    reasons = [line.split(": ", 2)[2] for line in lines if line.startswith("failed: ")]
    assert len(set(reasons)) == len(reasons) == 4  # of the dataset, the anchor and two models
    frame = load_results(tmp_path / "results" / "small")
    assert len(frame) == 12
    results = ("--results", str(tmp_path / "results"))
    assert run_bench.main(["status", str(suite), *results]) == 0
    status = [line for line in capsys.readouterr().out.splitlines() if "failed: " in line]
    assert [line.split(": ", 2)[2] for line in status] == reasons
    others = (re.search(r" and (\d+) more: ", line) for line in status)
    assert len(status) + sum(int(each[1]) for each in others if each) == 11
    fine = frame[frame["status"] == "ok"]
    assert fine[["model", "dataset"]].to_numpy().tolist() == [["CLIP", "digits"]]


def test_what_the_hub_lacks_ends_a_run_before_a_download(
    hub: Hub, suite_file: Maker, dataset: Maker
) -> None:
    """Files that the hub has are no fault; of the others the hub's answer is given."""
    hub.add(REPO, dataset())
    sets = [{"kind": "hub", "name": name, "repo": repo} for name, repo in SETS.items()]
    suite = load_suite(suite_file(models={"CLIP": CLIP}, datasets=sets))
    (fault,) = faults_before_run(suite)
    assert (fault.key, fault.download) == ("datasets.gone", False)
    assert "no such dataset at" in fault.reason
    assert not [path for path in hub.bodies() if path.endswith(".tar")]


SETS = {"set": REPO, "gone": "no/such"}


def test_a_run_of_what_is_here_asks_no_network(
    hub: Hub, suite_file: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite(suite_file(models={"CLIP": CLIP}))
    hub.log.clear()
    assert faults_before_run(suite) == []
    assert hub.log == []


def test_each_entry_has_its_own_faults_only(suite_file: Maker, tmp_path: Path) -> None:
    """A missing base or anchor's model is its own fault, and not that of models made of it."""
    gone = {"kind": "hugging_face", "name": str(tmp_path / "gone")}
    models = {
        "gone": gone,
        "Plus": {**radapt("x"), "base": "gone", "anchor": {"white": "gone"}},
        "Graft": {"kind": "graft", "base": "gone", "donor": "gone", "modules": "B1"},
    }
    suite = load_suite(suite_file(models=models, attacks=None, threats=None))
    assert [fault.key for fault in find_faults(suite)] == ["models.gone"]


def test_a_dataset_that_cannot_be_read_ends_a_run_too(
    suite_file: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "one" / "cat", "0.png", 0)
    one = {"kind": "folder", "name": "one", "path": "one"}
    path = suite_file(models={"CLIP": CLIP}, datasets=[one], attacks=None, threats=None)
    assert run(path, tmp_path) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "1 entry of the suite cannot be used here"
    assert told[1].startswith(f"  datasets.one: {tmp_path / 'one'}")
    assert not list((tmp_path / "results").glob("*/cells/*"))


def test_a_missing_module_is_named_with_the_places(
    suite_file: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"M": {"kind": "python", "target": "gone_for_good:make"}}
    path = suite_file(models=models, attacks=None, threats=None)
    assert run(path, tmp_path, "--trust") == 2
    told = capsys.readouterr().err
    assert "models.M: no module named 'gone_for_good'" in told
    assert str(path.parent) in told
    assert str(Path.cwd()) in told


def test_looking_reads_neither_modules_nor_the_files_of_arguments(
    suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_the_suite.py").write_text("raise AssertionError")
    (tmp_path / "large.pt").write_bytes(b"weights")
    own = {"kind": "python", "target": "beside_the_suite:make"}
    models = {"M": {**own, "args": {"weights": str(tmp_path / "large.pt")}}}
    suite = load_suite(suite_file(models=models, attacks=None, threats=None))
    monkeypatch.setattr("bench.core.code_content.hash_files", None)
    assert faults_before_run(suite) == []


def test_lines_are_grouped_by_advice_and_reason() -> None:
    faults = [
        *(Fault(f"models.{n}", "no file", "correct it") for n in range(20)),
        Fault("datasets.a", "lacks shards", "fetch", download=True),
        Fault("datasets.b", "no file", "correct it"),
        Fault("protocol.judge", "x is not set", ""),
    ]
    listed = ", ".join(map(str, range(12)))
    expected = [
        f"models: {listed} and 8 more; datasets.b: no file",
        "  -> correct it",
        "not on this machine: datasets.a",
        "  -> fetch",
        "protocol.judge: x is not set",
    ]
    assert list(fault_lines(faults)) == expected
    assert refusal(faults[-1:]).startswith("1 entry of the suite cannot be used here\n  protocol.")


@pytest.mark.parametrize("command", ["doctor", "plan"])
def test_what_is_here_is_examined_without_torch(command: str, suite_file: Maker) -> None:
    """They import torch for a GPU's driver and for the tables of open_clip and transformers."""
    path = suite_file(models={"CLIP": CLIP, "Plus": radapt("no.safetensors")})
    code = (
        "import sys, run_bench; from bench.commands import machine; machine._DRIVERS = ()\n"
        f"run_bench.main(['{command}', sys.argv[1]])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True,
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no.safetensors: no such anchor; looked for in") == 1
    assert done.stdout.count("radapt fit") == 1
