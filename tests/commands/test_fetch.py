"""Bringing models and data ahead of time, and what is said of a machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from bench.commands.downloads import FetchWatcher, NeededFile, NeededFiles, fetch
from bench.commands.machine import examine
from bench.core.errors import CellError, UserError
from bench.core.resolved_names import Lock
from bench.hub import files as client
from bench.hub.weights import weight_files
from bench.plan.resolve import remarks
from bench.suite.load import Suite, load_suite
from bench.suite.specs import HuggingFaceModel, LanguageDataset, LvlmModel
from tests.support.hub_server import COMMIT, Hub
from tests.support.question_files import WORDS, language

ROOT = Path(__file__).parents[2]
Maker = Callable[..., Path]
REPO = "someone/wds_set"


class Told(FetchWatcher):
    def __init__(self) -> None:
        self.needed: NeededFiles | None = None
        self.names: list[str] = []
        self.come = 0

    def begin(self, needed: NeededFiles) -> None:
        self.needed = needed

    def file_started(self, needed: NeededFile) -> None:
        self.names.append(needed.file.name)

    def bytes_received(self, count: int) -> None:
        self.come += count


@pytest.fixture(autouse=True)
def served(hub: Hub, dataset: Maker) -> None:
    hub.add(REPO, dataset())


@pytest.fixture
def suite(suite_file: Maker) -> Suite:
    entry = {"kind": "hub", "name": "set", "repo": REPO}
    return load_suite(suite_file(datasets=[entry, "digits"]))


def sizes(hub: Hub) -> int:
    return sum(len(data) for path, data in hub.repos[REPO].items() if path.endswith(".tar"))


def test_sizes_first_then_the_files_then_nothing(hub: Hub, suite: Suite) -> None:
    told = Told()
    lock, problems = fetch(suite, told)
    assert problems == {}
    assert told.needed is not None
    assert told.needed.left == told.come == sizes(hub)
    assert told.names == [f"{REPO} test/0.tar", f"{REPO} test/1.tar"]
    assert lock.datasets["set"].origin == f"{REPO}@{COMMIT}"
    assert set(lock.models) == set(suite.models)
    again = Told()
    assert fetch(suite, again) == (lock, {})
    assert again.needed is not None
    assert (again.needed.left, again.come, again.names) == (0, 0, [])


def test_a_stopped_fetch_goes_on_where_it_was(hub: Hub, suite: Suite) -> None:
    class Stops(Told):
        def file_started(self, needed: NeededFile) -> None:
            if needed.file.name.endswith("1.tar"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(suite, Stops())
    hub.log.clear()
    told = Told()
    fetch(suite, told)
    assert told.names == [f"{REPO} test/1.tar"]
    assert [path.rpartition("/")[2] for path in hub.bodies()] == ["1.tar"]


def test_what_cannot_be_had_is_told_and_the_rest_is_brought(hub: Hub, suite_file: Maker) -> None:
    hub.forged.add("test/1.tar")
    sets = [
        {"kind": "hub", "name": "set", "repo": REPO},
        {"kind": "hub", "name": "gone", "repo": "no/such"},
        "digits",
    ]
    models = {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "Real": {"kind": "open_clip", "name": "hf-hub:no/model"},
    }
    suite = load_suite(suite_file(datasets=sets, models=models))
    lock, problems = fetch(suite, Told())
    assert set(problems) == {"datasets.set", "datasets.gone", "models.Real"}
    assert "the damaged copy is removed" in problems["datasets.set"]
    assert "no/such: no such dataset" in problems["datasets.gone"]
    assert "no/model: no such model" in problems["models.Real"]
    assert "digits" in lock.datasets
    assert "CLIP" in lock.models


def test_weights_of_the_hub_are_counted_too(hub: Hub, suite_file: Maker) -> None:
    hub.repos["some/clip"] = {
        "open_clip_pytorch_model.bin": bytes(5000),
        "open_clip_config.json": b"{}",
    }
    models = {"Real": {"kind": "open_clip", "name": "hf-hub:some/clip"}}
    suite = load_suite(suite_file(datasets=["digits"], models=models, attacks=None, threats=None))
    told = Told()
    lock, problems = fetch(suite, told)
    assert problems == {}
    assert told.come == 5000  # the configuration, which may name further files, came before
    assert "Real" in lock.models


def test_all_parts_of_weights_are_counted_and_brought(hub: Hub, suite_file: Maker) -> None:
    parts = {f"model-0000{n}-of-00002.safetensors": bytes(3000 * n) for n in (1, 2)}
    index = json.dumps({"weight_map": {str(n): name for n, name in enumerate(parts)}})
    small = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
    hub.repos["some/clip"] = {
        **parts,
        "model.safetensors.index.json": index.encode(),
        **{name: json.dumps({"model_type": "clip"}).encode() for name in small},
        "spiece.model": b"words",  # the second of two that may hold them: no class is named
    }
    spec = {"kind": "hugging_face", "name": "some/clip"}
    models = {"Real": spec}
    suite = load_suite(suite_file(datasets=["digits"], models=models, attacks=None, threats=None))
    told = Told()
    lock, problems = fetch(suite, told)
    assert problems == {}
    assert told.needed is not None
    # the vocabulary is counted, since the files that name further files came before
    assert told.needed.left == told.come == 9000 + len(b"words")
    assert [name for name in told.names if "model-" in name] == [f"some/clip {n}" for n in parts]
    here = {path.name for path in weight_files(HuggingFaceModel.model_validate(spec))}
    assert here == set(hub.repos["some/clip"])  # the words as well, once it is known where they are
    assert "Real" in lock.models


def test_a_processor_and_a_tower_of_other_repositories_are_brought(
    hub: Hub, suite_file: Maker
) -> None:
    whole = {"open_clip_pytorch_model.bin": bytes(10), "open_clip_config.json": b"{}"}
    images = {name: b"{}" for name in ("preprocessor_config.json", "tokenizer_config.json")}
    hub.repos |= {
        "some/clip": whole,
        "some/towers": {"a/one.pt": bytes(20), "two.pt": bytes(30)},
        "some/weights": {
            "model.safetensors": bytes(40), "config.json": b'{"model_type": "clip"}',
        },
        "some/processor": {**images, "tokenizer.json": b"words", "model.safetensors": bytes(50)},
    }  # fmt: skip
    tower = {"name": "hf-hub:some/clip", "tower": "hf-hub:some/towers/a/one.pt"}
    processor = {"name": "some/weights", "processor": "some/processor"}
    models = {"T": {"kind": "open_clip", **tower}, "P": {"kind": "hugging_face", **processor}}
    suite = load_suite(suite_file(datasets=["digits"], models=models, attacks=None, threats=None))
    told = Told()
    lock, problems = fetch(suite, told)
    assert problems == {}
    assert set(lock.models) == {"T", "P"}
    brought = {path.name for spec in suite.models.values() for path in weight_files(spec)}
    assert brought == {
        *(*whole, "one.pt", "model.safetensors", "config.json", *images, "tokenizer.json"),
    }
    assert {name for name in told.names if name.endswith((".pt", ".safetensors"))} == {
        "some/towers a/one.pt",
        "some/weights model.safetensors",
    }
    assert not [what for what, (level, _) in levels(suite, Path()).items() if level == "bad"]


def test_what_a_chat_may_have_is_brought_where_it_is(hub: Hub, suite_file: Maker) -> None:
    """So that a run without the hub sees the same template."""
    names = {
        *("model.safetensors", "config.json", "processor_config.json", "tokenizer_config.json"),
        *("tokenizer.json", "chat_template.jinja", "special_tokens_map.json"),
    }
    hub.repos["some/llava"] = {name: b'{"model_type": "llava"}' for name in names}
    models = {"Real": {"kind": "lvlm", "name": "some/llava"}}
    asked = {"kind": "language", "format": "embedded", "name": "d", "of": "digits", "ask": "what"}
    suite = load_suite(suite_file(datasets=[asked], models=models, attacks=None, threats=None))
    lock, problems = fetch(suite, Told())
    assert problems == {}
    here = {path.name for path in weight_files(LvlmModel(kind="lvlm", name="some/llava"))}
    assert here == names
    hub.repos["some/llava"].pop("processor_config.json")
    hub.repos["other/llava"] = hub.repos.pop("some/llava")
    spec = LvlmModel(kind="lvlm", name="other/llava")
    with pytest.raises(CellError, match=r"no file processor_config\.json"):
        weight_files(spec)
    assert "Real" in lock.models


def test_a_second_tokenizer_in_a_folder_is_brought(hub: Hub, suite_file: Maker) -> None:
    names = {
        *("model.safetensors", "config.json", "preprocessor_config.json", "tokenizer_config.json"),
        *("tokenizer.json", "qformer_tokenizer/tokenizer_config.json"),
        "qformer_tokenizer/vocab.txt",
    }
    hub.repos["some/blip"] = {
        name: json.dumps({"model_type": "instructblip", "name": name}).encode() for name in names
    }
    entry = {"kind": "lvlm", "name": "some/blip"}
    asked = {"kind": "language", "format": "embedded", "name": "d", "of": "digits", "ask": "what"}
    suite = load_suite(
        suite_file(datasets=[asked], models={"Real": entry}, attacks=None, threats=None)
    )
    told = Told()
    assert fetch(suite, told)[1] == {}
    assert "some/blip qformer_tokenizer/vocab.txt" in told.names
    assert len(weight_files(LvlmModel.model_validate(entry))) == len(names)


def test_a_small_disk_is_told_before_anything_comes(
    hub: Hub, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(
        UserError, match=r"1\.0 kB are free, but the download needs 81\.9 kB.*HF_HOME"
    ):
        fetch(suite, Told())
    assert hub.bodies() == []


def test_an_unreachable_hub_is_one_message(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    client._unreachable.cache_clear()
    with pytest.raises(
        UserError, match=r"127\.0\.0\.1:9 cannot be reached .*: datasets\.set; check"
    ):
        fetch(suite, Told())


def test_a_fault_of_a_local_file_is_not_the_networks(
    hub: Hub, suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    models = {"M": {"kind": "hugging_face", "name": str(tmp_path / "gone")}}
    suite = load_suite(suite_file(datasets=["digits"], models=models, attacks=None, threats=None))
    _, problems = fetch(suite, Told())
    assert problems.keys() == {"models.M"}
    assert "gone: no such folder" in problems["models.M"]


def test_a_set_with_fewer_images_than_asked(hub: Hub, suite: Suite) -> None:
    lock, _ = fetch(suite, Told())
    (line,) = remarks(suite, lock)
    assert line.startswith(
        "datasets.set: has 12 images, fewer than samples: 16; all of them are used"
    )


def test_few_shards_of_a_sorted_set_are_remarked(suite_file: Maker) -> None:
    few = [{"kind": "hub", "name": name, "shards": 2} for name in ("imagenet", "pets")]
    (line,) = remarks(load_suite(suite_file(datasets=few)), Lock())
    assert line.startswith("datasets.imagenet: its shards are sorted by class, so 2 of them")


def levels(suite: Suite | None, results: Path) -> dict[str, tuple[str, str]]:
    return {
        finding.what.partition(":")[0]: (finding.level, finding.advice)
        for finding in examine(suite, results)
    }


def test_the_doctor_before_and_after(hub: Hub, suite: Suite, tmp_path: Path) -> None:
    before = levels(suite, tmp_path)
    assert before["datasets.set"][0] == "bad"
    assert "fetch" in before["datasets.set"][1]
    assert before["datasets.digits"][0] == before["models.CLIP"][0] == before["network"][0] == "ok"
    fetch(suite, Told())
    after = levels(suite, tmp_path)
    assert after["datasets.set"][0] == "ok"
    assert all(level != "bad" for level, _ in after.values())


def test_the_doctor_looks_at_the_disk_that_a_dataset_is_downloaded_to(
    suite_file: Maker, tmp_path: Path
) -> None:
    entry = {"kind": "torchvision", "name": "caltech256", "root": str(tmp_path / "data")}
    suite = load_suite(suite_file(datasets=[entry]))
    found = [finding.what for finding in examine(suite, tmp_path)]
    assert any(
        what.startswith("disk of datasets.caltech256: ")
        and what.endswith(f"free at {tmp_path / 'data' / 'caltech256'}")
        for what in found
    )


def test_the_doctor_without_a_network(
    hub: Hub, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    client._unreachable.cache_clear()
    assert levels(suite, tmp_path)["network"][0] == "bad"
    advice = "suites whose files are all here run with HF_HUB_OFFLINE=1"
    assert levels(None, tmp_path)["network"] == ("note", advice)


def test_the_doctor_misses_packages_and_files(
    suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.commands import machine as doctor

    def version(name: str) -> str:
        if name in ("torchattacks", "pandas"):
            raise doctor.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(doctor, "version", version)
    anchor = {"kind": "radapt", "base": "CLIP", "anchor": {"file": str(tmp_path / "no")}}
    suite = load_suite(
        suite_file(
            models={
                "CLIP": {"kind": "nano", "weights": "clip"},
                "Plus": {**anchor, "alpha": 1, "cutoff": 40},
            },
            datasets=[{"kind": "webdataset", "name": "mine", "path": str(tmp_path / "no")}],
            attacks=[{"kind": "torchattacks", "attack": "PGD", "eps": "1/255"}],
        )
    )
    found = levels(suite, tmp_path)
    assert found["package pandas is missing"] == ("bad", "pip install pandas")
    assert found["package torchattacks is missing"][1] == (
        "pip install 'radapt-bench[torchattacks]' && pip install --no-deps torchattacks"
    )
    assert found["datasets.mine"][0] == found["models.Plus"][0] == "bad"


def test_the_doctor_misses_files_of_questions_and_the_key_of_a_judge(
    suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = language("pope", questions="no.json", images=str(tmp_path))
    judge = {"kind": "openai", "url": "http://127.0.0.1:9", "model": "m", "key": "JUDGE_KEY"}
    suite = load_suite(
        suite_file(
            **WORDS,
            datasets=[questions.model_dump(exclude_none=True)],
            protocol={"preset": "lvlm", "judge": judge},
        )
    )
    found = {finding.what: finding.level for finding in examine(suite, tmp_path)}
    missing = next(what for what in found if what.startswith("datasets.set: no.json: no such file"))
    assert found[missing] == "bad"
    assert not any("JUDGE_KEY" in what for what in found)  # nobody is asked about yes and no
    what = {"kind": "language", "format": "embedded", "name": "set", "of": "digits", "ask": "what"}
    suite = suite.model_copy(update={"datasets": (LanguageDataset.model_validate(what),)})
    found = {finding.what: finding.level for finding in examine(suite, tmp_path)}
    assert found["protocol.judge.key: JUDGE_KEY is not set"] == "bad"
    monkeypatch.setenv("JUDGE_KEY", "secret")
    found = {finding.what: finding.level for finding in examine(suite, tmp_path)}
    assert found["protocol.judge.key: JUDGE_KEY is set"] == "ok"


def test_the_doctor_looks_for_a_local_judge(hub: Hub, suite_file: Maker, tmp_path: Path) -> None:
    what = {"kind": "language", "format": "embedded", "name": "set", "of": "digits", "ask": "what"}

    def said(**keys: str) -> tuple[str, str]:
        judge = {"kind": "transformers", **keys}
        protocol = {"preset": "lvlm", "judge": judge}
        suite = load_suite(suite_file(**WORDS, datasets=[what], protocol=protocol))
        (found,) = (f for f in examine(suite, tmp_path) if f.what.startswith("protocol.judge"))
        return found.level, found.what

    (tmp_path / "judge").mkdir()
    assert said(name=str(tmp_path / "judge")) == (
        "bad",
        f"protocol.judge: {tmp_path / 'judge'}: config.json is missing",
    )
    (tmp_path / "judge" / "config.json").write_text('{"model_type": "resnet"}')
    assert "no model of this type that writes text" in said(name=str(tmp_path / "judge"))[1]
    (tmp_path / "judge" / "config.json").write_text('{"model_type": "llama"}')
    assert "model.safetensors.index.json or" in said(name=str(tmp_path / "judge"))[1]
    for name in ("model.safetensors", "tokenizer_config.json", "tokenizer.json"):
        (tmp_path / "judge" / name).write_text("{}")
    assert said(name=str(tmp_path / "judge"))[0] == "ok"
    assert said(name="owner/judge")[0] == "bad"
    level, found = said(name="owner/judge", revision="0" * 40)
    assert (level, found.endswith("not in the hub's cache")) == ("bad", True)


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"models": {"M": {"kind": "lvlm-tiny", "family": "llava"}}}, True),
        ({"models": {"M": {"kind": "lvlm", "name": "owner/name"}}}, True),
        ({"models": {"M": {"kind": "python", "target": "own:m", "answers": True}}}, False),
        (
            {
                "models": {"M": {"kind": "python", "target": "own:m", "answers": True}},
                "protocol": {
                    "preset": "lvlm", "judge": {"kind": "transformers", "name": "owner/name"}
                },
            },
            True,
        ),
    ],
)  # fmt: skip
def test_the_doctor_names_the_extra_of_models_that_answer(
    suite_file: Maker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    needed: bool,
) -> None:
    from bench.commands import machine as doctor

    def version(name: str) -> str:
        if name == "transformers":
            raise doctor.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(doctor, "version", version)
    what = {"kind": "language", "format": "embedded", "name": "set", "of": "digits", "ask": "what"}
    given = {**WORDS, "protocol": "lvlm", "datasets": [what], **changes}
    found = levels(load_suite(suite_file(**given)), tmp_path)
    expected = ("bad", "pip install 'radapt-bench[lvlm]'") if needed else None
    assert found.get("package transformers is missing") == expected


def test_fetch_then_run_without_the_hub(hub: Hub, suite_file: Maker, tmp_path: Path) -> None:
    """The commands as a user calls them, told of the hub by its own variables."""
    entry: Any = {"kind": "hub", "name": "set", "repo": REPO}
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    path = suite_file(datasets=[entry], models=models, attacks=None, threats=None)
    results = tmp_path / "r"
    variables = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip

    def call(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run_bench.py"), *map(str, words)]
        return subprocess.run(
            [*command, "--results", str(results)],
            cwd=ROOT, capture_output=True, text=True, env={**variables, **more},
        )  # fmt: skip

    fetched = call("fetch", path)
    assert fetched.returncode == 0, fetched.stderr
    first = f"    41.0 kB  datasets.set: {REPO} test/0.tar\n"
    assert f"81.9 kB to download in 2 files; 0 files are already here\n{first}" in fetched.stdout
    assert "datasets.set: has 12 images, fewer than samples: 16" in fetched.stdout
    assert "all files are here" in fetched.stdout
    lock = json.loads((results / "small" / "lock.json").read_text())
    assert lock["datasets"]["set"]["origin"] == f"{REPO}@{COMMIT}"
    hub.log.clear()
    ran = call("run", path, HF_HUB_OFFLINE="1")
    assert ran.returncode == 0, ran.stderr
    assert hub.log == []
    hub.gated.add(REPO)
    shutil.rmtree(tmp_path / "home")
    refused = call("fetch", path)
    assert refused.returncode == 1
    assert f"datasets.set: {REPO}: access is gated" in refused.stderr
