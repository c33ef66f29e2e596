"""A suite's numbers in the formats of others: what each file says, and reading it again."""

import csv
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import EvalResultEntry
from huggingface_hub._eval_results import eval_result_entries_to_yaml, parse_eval_result_entries

import run_bench
from bench.compare.published import given, read_published
from bench.compare.published_number import Published
from bench.compare.verdicts import compare
from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.report.export import export
from bench.results.number_format import rounded
from bench.results.tables import load_scored
from bench.share.foreign_formats import FORMATS, write_format
from bench.share.shared_numbers import SharedNumber, SharedResults, shared_results
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import Suite, load_suite

N = 37
ODD = "=FARE, 中文|../../x"
DOUBT, FLAG = "doubt=noise", "targets=3"
ENTRY: dict[str, Any] = {
    "suite": "sent",
    "protocol": {"preset": "radapt-paper", "pixels": "native"},
    "samples": N,
    "models": {
        "CLIP": {"kind": "open_clip", "name": "ViT-B-16-quickgelu", "pretrained": "openai"},
        ODD: {"kind": "nano", "weights": "fare"},
    },
    "datasets": ["wds/vtab/cifar10", "digits"],
    "attacks": [
        {"kind": "pgd", "eps": ["1/255", "4/255"], "steps": 2},
        {"kind": "pyautoattack", "attack": "standard", "name": "AA", "eps": "4/255"},
    ],
    "threats": ["white-box", {"transfer": "CLIP"}],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite, beside the folder of its results: CLIP under AutoAttack is doubtful."""
    folder = tmp_path_factory.mktemp("sent")
    path = folder / "sent.yaml"
    path.write_text(yaml.safe_dump(ENTRY, allow_unicode=True))
    suite, store = load_suite(path), Store(folder / "results", "sent")
    ids = tuple(map(str, range(N)))
    for place, cell in enumerate(expand(suite, Lock())):
        right = np.arange(N) % (3 + place) > (cell.attack is not None)
        of_clip = cell.target == "CLIP" and cell.attack is not None
        flags = (FLAG, DOUBT) if of_clip and cell.attack.label == "AA" else (FLAG,)  # type: ignore[union-attr]
        far = np.zeros(N, np.float32)
        store.put(CellResult(cell.id, "ok", right, ids, far, 1.0, N, {}, flags=flags))
    return path


@pytest.fixture(scope="module")
def results(file: Path) -> Results:
    return read_results(load_suite(file), Store(file.parent / "results", "sent"))


@pytest.fixture(scope="module")
def shared(results: Results) -> SharedResults:
    return shared_results(results, "me/sent")


@pytest.fixture(scope="module")
def written(shared: SharedResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every format."""
    folder = tmp_path_factory.mktemp("to")
    for name in FORMATS:
        write_format(shared, name, folder / name)
    return folder


def of(shared: SharedResults, model: str, dataset: str, attack: str, **more: str) -> SharedNumber:
    (found,) = (
        number
        for number in shared.of_model(model)
        if (number.dataset, number.attack) == (dataset, attack)
        and all(getattr(number, key) == value for key, value in more.items())
    )
    return found


def jsons(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.rglob("*.json")):
        yield json.loads(path.read_text("utf-8"))


def test_the_numbers_are_those_of_the_leaderboard(results: Results, shared: SharedResults) -> None:
    export(results)
    board = json.loads((results.store.folder / "leaderboard.json").read_text())
    tables = {"mean": board["rows"], **board["by_dataset"]}
    compared = 0
    for dataset, rows in tables.items():
        for row in rows:
            for column, rate in row["rates"].items():
                attack, _, eps = column.partition("@")
                eps = "4/255" if attack == "worst" else eps
                threat = {"threat": row["threat"], "source": row["source"]} if eps else {}
                found = of(shared, row["model"], dataset, attack, eps=eps, **threat).rate
                bounds = {"value": found.value, "low": found.low, "high": found.high}
                assert {key: rounded(value) for key, value in bounds.items()} == rate
                compared += 1
    assert compared == 3 * 4 * 5
    # the leaderboard has the worst case at the largest radius only
    smaller = of(shared, "CLIP", "digits", "worst", threat="white-box", eps="1/255")
    pgd = [
        of(shared, "CLIP", "digits", "pgd", eps="1/255", threat=t).rate.value
        for t in ("white-box", "transfer")
    ]
    assert smaller.rate.value <= min(pgd)
    assert [attack.label for attack in smaller.attacks] == ["pgd"]


def test_every_format_tells_interval_threat_flags_and_doubt(
    shared: SharedResults, written: Path
) -> None:
    worst = of(shared, "CLIP", "mean", "worst", threat="white-box", eps="4/255")
    assert worst.doubts == (DOUBT,)
    low, high = (f"{100 * bound:.1f}" for bound in (worst.rate.low, worst.rate.high))
    hub = written / "hub-eval-results" / "models" / "CLIP" / ".eval_results"
    (entry,) = yaml.safe_load((hub / "sent-robust-white-box.yaml").read_text())
    for part in (f"{low} to {high}", "white-box, linf 4/255", "pgd, AA", f"doubtful: {DOUBT}",
                 f"flags: {FLAG}", "digits: an embedded subset"):  # fmt: skip
        assert part in entry["notes"]
    assert DOUBT not in (hub / "sent-clean.yaml").read_text()

    robust = written / "robustbench" / "eps_4-255" / "model_info" / "digits" / "Linf"
    (doubted,) = (entry for entry in jsons(robust) if entry["name"] == "CLIP")
    assert doubted["unreliable"] is True and f"doubtful: {DOUBT}" in doubted["footnote"]
    assert "white-box, linf 4/255" in doubted["footnote"]
    assert "95% interval" in doubted["footnote"]
    (trusted,) = (entry for entry in jsons(robust) if entry["name"] == ODD)
    assert trusted["unreliable"] is False and "doubtful" not in trusted["footnote"]

    with (written / "clip-benchmark" / "robust.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    (row,) = (
        row for row in rows if row["attack"] == "AA" and row["dataset"] == "digits"
        and row["radapt_bench_model"] == "CLIP" and row["radapt_bench_threat"] == "white-box"
    )  # fmt: skip
    assert DOUBT in row["radapt_bench_flags"]
    assert row["radapt_bench_acc1_low"] < row["acc1"] < row["radapt_bench_acc1_high"]
    assert "attack" not in (written / "clip-benchmark" / "clean.csv").read_text().splitlines()[0]

    (record,) = (
        one for one in jsons(written / "every-eval-ever") if "/CLIP/" in one["evaluation_id"]
    )
    details = {
        (one["metric_config"]["metric_parameters"]["attack"], one["source_data"]["dataset_name"],
         one["metric_config"]["metric_parameters"]["threat_model"]): one["score_details"]["details"]
        for one in record["evaluation_results"]
    }  # fmt: skip
    assert details["AA", "digits", "white-box"]["doubtful"] == DOUBT
    assert details["pgd", "digits", "white-box"]["doubtful"] == "no"

    card = (written / "model-card" / "CLIP.md").read_text()
    shown = f"{100 * worst.rate.value:.1f} ({low}–{high}) †"
    assert f"| {shown} |" in card and "† Doubtful" in card and "doubt=noise" in card
    assert "white-box, 4/255" in card


def test_the_hub_reads_its_files(shared: SharedResults, written: Path) -> None:
    folder = written / "hub-eval-results"
    benchmark = yaml.safe_load((folder / "eval.yaml").read_text())
    assert {"name", "description", "evaluation_framework", "tasks"} == set(benchmark)
    tasks = {task["id"] for task in benchmark["tasks"]}
    assert tasks == {"clean", "robust-white-box", "robust-transfer-from-CLIP"}
    files = list(folder.glob("models/*/.eval_results/*.yaml"))
    assert len(files) == 2 * len(tasks)
    for path in files:
        content = yaml.safe_load(path.read_text("utf-8"))
        entries = parse_eval_result_entries(content)
        assert eval_result_entries_to_yaml(entries) == content  # nothing that the hub does not know
        (entry,) = entries
        assert isinstance(entry, EvalResultEntry)
        assert entry.dataset_id == "me/sent" and entry.task_id in tasks
        assert path.stem == f"sent-{entry.task_id}"
    value = of(shared, "CLIP", "mean", "clean").rate.value
    (clean,) = yaml.safe_load((folder / "models/CLIP/.eval_results/sent-clean.yaml").read_text())
    assert clean["value"] == pytest.approx(100 * value, rel=1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("inspect_ai") is None, reason="inspect-ai is not installed"
)
def test_the_reader_of_eval_yaml_knows_all_keys_of_a_task(written: Path) -> None:
    from inspect_ai._eval.task.hf import HFTask  # type: ignore[import-not-found]

    benchmark = yaml.safe_load((written / "hub-eval-results" / "eval.yaml").read_text())
    # what it needs beside: how it would run the task itself
    its_own = {
        "field_spec": {"input": "image", "target": "label"},
        "solvers": [{"name": "generate"}],
        "scorers": [{"name": "match"}],
    }
    for task in benchmark["tasks"]:
        known = HFTask.model_validate({**task, **its_own})  # refuses other keys
        assert (known.id, known.config, known.split) == (task["id"], "default", "test")


def test_one_threat_model_gives_the_tasks_clean_and_robust(
    shared: SharedResults, tmp_path: Path
) -> None:
    numbers = tuple(number for number in shared.numbers if number.threat != "transfer")
    one = SharedResults(shared.suite, numbers, "me/sent")
    write_format(one, "hub-eval-results", tmp_path / "hub")
    tasks = yaml.safe_load((tmp_path / "hub" / "eval.yaml").read_text())["tasks"]
    assert [task["id"] for task in tasks] == ["clean", "robust"]


def test_every_eval_ever_has_what_its_schema_requires(written: Path) -> None:
    root = written / "every-eval-ever"
    paths = sorted(root.rglob("*.json"))
    assert len(paths) == 2
    for path, record in zip(paths, jsons(root), strict=True):
        data, suite, developer, model, _ = path.relative_to(root).parts
        assert (data, suite, f"{developer}/{model}") == ("data", "sent", record["model_info"]["id"])
        assert record["schema_version"] == "0.3.0"
        assert record["retrieved_timestamp"].isdigit()
        assert record["source_metadata"]["source_type"] in ("documentation", "evaluation_run")
        details = record["model_info"]["additional_details"]
        assert details["deployment_type"] == "self_deployed"
        ids = [result["evaluation_result_id"] for result in record["evaluation_results"]]
        assert len(set(ids)) == len(ids)
        for result in record["evaluation_results"]:
            config, score = result["metric_config"], result["score_details"]
            assert config["min_score"] <= score["score"] <= config["max_score"]
            assert config["lower_is_better"] is False and config["score_type"] == "continuous"
            assert all(isinstance(text, str) for text in score["details"].values())
            bounds = score["uncertainty"]["confidence_interval"]
            assert bounds["lower"] <= score["score"] <= bounds["upper"]
            source = result["source_data"]
            kind = "hf_dataset" if source["dataset_name"] == "cifar10" else "other"
            assert source["source_type"] == kind


@pytest.mark.skipif(
    importlib.util.find_spec("every_eval_ever") is None,
    reason="every-eval-ever is not installed; it needs Python 3.12",
)
def test_every_eval_ever_finds_no_fault(written: Path) -> None:
    from every_eval_ever.validate import validate_aggregate  # type: ignore[import-not-found]

    root = written / "every-eval-ever"
    for path in root.rglob("*.json"):
        place = path.relative_to(root).as_posix()
        report = validate_aggregate(path, repo_path=place, run_semantic_checks=True)
        assert report.valid and not report.warnings


@pytest.mark.parametrize("kind", ["clean", "robust"])
def test_clip_benchmark_comes_back_exactly(shared: SharedResults, written: Path, kind: str) -> None:
    folder = written / "clip-benchmark"
    from_table = read_published(given(str(folder / f"{kind}.csv")))
    assert from_table == read_published(given(str(folder / kind)))
    sent = {
        (n.model, n.dataset, n.attack, n.eps, n.threat, n.source): (n.rate.value, n.n)
        for n in shared.numbers
        if n.dataset != "mean" and (n.attack == "clean") == (kind == "clean")
    }
    back = {
        (r.model, r.dataset, r.attack, r.eps, r.threat, r.source_model): (r.value, int(r.samples))
        for r in from_table
    }
    assert back == sent


def test_a_row_of_clip_benchmark_has_all_recalls(tmp_path: Path) -> None:
    kept = {key: ENTRY[key] for key in ("suite", "protocol", "samples", "models")}
    suite = Suite.model_validate({**kept, "datasets": ["wds/mscoco_captions"]})
    store = Store(tmp_path, "sent")
    for place, cell in enumerate(expand(suite, Lock())):
        ids, far = tuple(f"{image}#0" for image in range(N)), np.zeros(N, np.float32)
        right = np.arange(N) < 10 + place
        store.put(CellResult(cell.id, "ok", right, ids, far, 1.0, N, {}))
    write_format(shared_results(read_results(suite, store)), "clip-benchmark", tmp_path / "to")
    rows = read_published(given(str(tmp_path / "to" / "clean.csv")))
    names = [f"{way}_retrieval_recall@{k}" for way in ("text", "image") for k in (1, 5, 10)]
    assert [(row.model, row.metric) for row in rows] == [
        (m, n) for m in ENTRY["models"] for n in names
    ]
    assert [row.value for row in rows] == [(10 + place) / N for place in range(12)]
    record, _ = jsons(tmp_path / "to" / "clean")
    assert record["dataset"] == "wds/mscoco_captions" and set(names) < set(record["metrics"])


def test_robustbench_comes_back_as_printed(shared: SharedResults, written: Path) -> None:
    rows = read_published(given(str(written / "robustbench")))
    names = {"standard": "AA", "unnamed": "worst"}
    for row in rows:
        attacked = {} if row.attack == "clean" else {"eps": row.eps, "threat": row.threat}
        number = of(shared, row.model, row.dataset, names.get(row.attack, row.attack), **attacked)
        assert float(row.value_percent) == pytest.approx(100 * number.rate.value, abs=0.00501)
        assert row.samples == str(N)
    # clean at each of two radii; AutoAttack at one; the worst case at both
    assert len(rows) == 2 * 2 * (2 + 1 + 2)


def test_numbers_that_come_back_agree(results: Results, written: Path, tmp_path: Path) -> None:
    scored = load_scored(results)
    for path in ("clip-benchmark/clean.csv", "clip-benchmark/robust.csv", "robustbench"):
        found, _ = compare(results.suite, scored, read_published(given(str(written / path))))
        verdicts = {item.verdict for item in found if item.published.attack != "unnamed"}
        assert verdicts == {"agrees"}, path
        assert {item.published.model for item in found} == {"CLIP", ODD}


def test_a_plain_table_comes_back_exactly(written: Path, tmp_path: Path) -> None:
    rows = read_published(given(str(written / "clip-benchmark" / "robust.csv")))
    with (tmp_path / "plain.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(map(asdict, rows))
    assert read_published(given(str(tmp_path / "plain.csv"))) == rows
    assert {type(row) for row in rows} == {Published}


def test_no_name_leads_out_of_the_folder(written: Path) -> None:
    beside = {path.name for path in written.iterdir()}
    assert beside == set(FORMATS)
    for path in written.rglob("*"):
        assert path.resolve().is_relative_to(written)
    assert len(list((written / "model-card").iterdir())) == 2


def test_a_format_without_a_place_for_the_numbers_is_refused(
    shared: SharedResults, results: Results, tmp_path: Path
) -> None:
    clean = tuple(number for number in shared.numbers if number.attack == "clean")
    with pytest.raises(UserError, match="has no accuracy under white-box attacks"):
        write_format(SharedResults(shared.suite, clean), "robustbench", tmp_path / "x")
    with pytest.raises(UserError, match="got the benchmark ''; allowed: the dataset repository"):
        write_format(SharedResults(shared.suite, clean), "hub-eval-results", tmp_path / "x")
    empty = Store(tmp_path, "empty")
    with pytest.raises(UserError, match="no number is stored"):
        shared_results(read_results(results.suite, empty))


def test_the_command_replaces_an_earlier_export(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = file.parent / "results" / "sent" / "to" / "model-card"
    call = ["export", str(file), "--results", str(file.parent / "results")]
    folder.mkdir(parents=True)
    (folder / "gone.md").write_text("a model that the suite no longer has")
    assert run_bench.main([*call, "--to", "model-card"]) == 0
    assert str(folder) in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 2 and not (folder / "gone.md").exists()
    assert run_bench.main([*call, "--to", "hub-eval-results"]) == 2
    assert "--benchmark OWNER/NAME" in capsys.readouterr().err


def test_an_l2_attack_may_have_the_number_of_a_smaller_linf_radius(tmp_path: Path) -> None:
    l2 = {"kind": "pgd", "eps": "1/255", "norm": "l2", "steps": 2}
    suite = Suite.model_validate({**ENTRY, "attacks": [*ENTRY["attacks"], l2]})
    store = Store(tmp_path, suite.suite)
    ids, far = tuple(map(str, range(N))), np.zeros(N, np.float32)
    for place, cell in enumerate(expand(suite, Lock())):
        right = np.arange(N) % (3 + place) > (cell.attack is not None)
        store.put(CellResult(cell.id, "ok", right, ids, far, 1.0, N, {}))
    found = shared_results(read_results(suite, store))
    worst = [number for number in found.numbers if number.is_worst]
    assert {number.eps for number in worst} == {"1/255", "4/255"}
    assert all(attack.norm == "linf" for number in worst for attack in number.attacks)
    assert any(attack.norm == "l2" for number in found.numbers for attack in number.attacks)
