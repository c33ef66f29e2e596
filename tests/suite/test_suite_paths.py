"""Relative paths in a suite: beside the suite's file or, failing that, in the working folder."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.suite_paths import SuitePath, find_path, tried
from bench.data import index_dataset
from bench.plan.identity import spec_digests
from bench.plan.missing_files import find_faults
from bench.plan.resolve import fingerprint
from bench.suite.load import Suite, load_suite

CLIP = {"kind": "nano", "weights": "clip"}
MODELS = {
    "CLIP": CLIP,
    "anchor": {"kind": "radapt", "base": "CLIP", "anchor": {"file": "a"}, "alpha": 1, "cutoff": 4},
    "tower": {"kind": "open_clip", "name": "hf-hub:org/clip", "tower": "a"},
    "file": {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "a"},
    "folder": {"kind": "open_clip", "name": "local-dir:models/whole"},
    "clip": {"kind": "hugging_face", "name": "models/whole"},
}


@pytest.fixture
def suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for a suite; the working folder is another one."""
    for name in ("suites", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "suites"


def write(folder: Path, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "a").write_bytes(content)
    (folder / "models" / "whole").mkdir(parents=True)


def load(suites: Path, suite_file: Callable[..., Path], models: object = MODELS) -> Suite:
    written = suite_file(models=models, attacks=None, threats=None)
    return load_suite(written.rename(suites / "suite.yaml"))


def paths(suite: Suite) -> dict[str, list[Path]]:
    """Return the files and folders of the models by name."""
    return {
        name: [getattr(each, "path", getattr(each, "folder", None)) for each in sources]
        for name, spec in suite.models.items()
        if name != "CLIP" and (sources := spec.weight_sources())
    }


def test_the_suites_folder_comes_first(suites: Path, suite_file: Callable[..., Path]) -> None:
    write(suites, b"beside")
    write(Path.cwd(), b"here")
    suite = load(suites, suite_file)
    found = paths(pickle.loads(pickle.dumps(suite)))  # as Ray's workers get it
    assert found["anchor"] == found["file"] == [suites / "a"]
    assert found["tower"] == [None, suites / "a"]
    assert found["folder"] == found["clip"] == [suites / "models" / "whole"]
    (suites / "a").unlink()
    (suites / "models" / "whole").rmdir()
    found = paths(suite)
    assert found["anchor"] == found["file"] == [Path("a")]
    assert found["folder"] == found["clip"] == [Path("models/whole")]


def test_names_of_the_hub_are_no_paths_unless_they_exist(
    suites: Path, suite_file: Callable[..., Path]
) -> None:
    """A folder with the name of an architecture or a tag does not hide it."""
    for name in ("ViT-B-32", "laion2b_s34b_b79k"):
        (suites / name).mkdir()
    spec = {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}
    suite = load(suites, suite_file, {"M": spec, "T": {"kind": "hugging_face", "name": "org/clip"}})
    (tag,), (repository,) = (suite.models[name].weight_sources() for name in "MT")
    assert (getattr(tag, "model", None), getattr(tag, "tag", None)) == tuple(spec.values())[1:]
    assert getattr(repository, "repository", None) == "org/clip"


def test_identities_do_not_depend_on_the_folder(
    suites: Path, suite_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(suites, b"anchor")
    models = {name: MODELS[name] for name in ("CLIP", "anchor")}
    suite = load(suites, suite_file, models)
    monkeypatch.chdir(suites)
    here = load_suite("suite.yaml")
    assert spec_digests(suite) == spec_digests(here)
    assert fingerprint(suite.models["anchor"]) == fingerprint(here.models["anchor"])
    identities = [
        each.models["anchor"].identity("x", lambda name: {"model": name}) for each in (suite, here)
    ]
    assert identities[0] == identities[1]
    assert find_path("a") == Path("a")
    assert tried("a") == ""  # of no file
    assert tried(SuitePath.of(str(suites / "a"), suites)) == ""  # absolute


def test_datasets_and_messages_name_both_folders(
    suites: Path, suite_file: Callable[..., Path], dataset: Callable[..., Path]
) -> None:
    dataset().rename(suites / "set")
    sets = [
        {"kind": "webdataset", "name": "set", "path": "set"},
        {"kind": "folder", "name": "gone", "path": "gone"},
        {"kind": "table", "name": "rows", "path": "rows.csv"},
    ]
    elsewhere = {"kind": "open_clip", "name": f"local-dir:{suites / 'gone'}"}
    models = {**MODELS, "elsewhere": elsewhere}
    written = suite_file(models=models, datasets=sets, attacks=None, threats=None)
    suite = load_suite(written.rename(suites / "suite.yaml"))
    assert len(index_dataset(suite.datasets[0], 4, 0).sample_ids) == 4
    looked = f"; looked for in {suites} and {Path.cwd()}"
    told = {fault.key: fault.reason for fault in find_faults(suite, torch=False)}
    assert told["datasets.gone"] == f"gone: no such dataset folder{looked}"
    assert told["datasets.rows"] == f"rows.csv: no such file or folder{looked}"
    assert told["models.anchor"] == f"a: no such anchor{looked}"
    assert told["models.folder"].endswith(looked)
    assert told["models.elsewhere"].endswith("OWNER/NAME of the hub")  # an absolute path
    assert "datasets.set" not in told
