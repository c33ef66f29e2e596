"""`doctor` and `fetch` name every fault of a suite's files, of each kind, before a download."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.commands.downloads import FetchWatcher, fetch
from bench.commands.machine import examine
from bench.hub.weights import weight_files
from bench.run.suite_run import run_suite
from bench.suite.load import Suite, load_suite
from bench.suite.specs import HuggingFaceModel
from tests.support.hub_cache import folder_files
from tests.support.hub_server import Hub
from tests.support.published_models import TEXT, plain_open_clip, register, weights_of
from tests.support.question_files import WORDS, picture, write
from tests.support.small_hugging_face import small_clip

Maker = Callable[..., Path]


def class_folders(root: Path, *names: str) -> str:
    for number, name in enumerate(names):
        picture(root / name, "0.png", 40 * number)
    return str(root)


RESNET = {"config.json": b'{"model_type": "resnet"}', "model.safetensors": bytes(5000)}
Faulty = dict[str, tuple[dict[str, Any], str]]  # entries by name, and what must name their faults


def faulty_images(root: Path) -> Faulty:
    """Return datasets of images with labels, with one fault each."""
    one, flat = class_folders(root / "one", "cat"), class_folders(root / "flat")
    picture(root / "flat", "ILSVRC2012_val_00000001.png", 9)
    return {
        "no-repository": ({"kind": "hub", "repo": "org/none"}, "org/none"),
        "no-shards": ({"kind": "webdataset", "path": str(root / "none")}, str(root / "none")),
        "no-folder": ({"kind": "folder", "path": str(root / "gone")}, "no such dataset folder"),
        "one-class": ({"kind": "folder", "path": one}, one),
        "flat": ({"kind": "folder", "path": flat}, flat),
    }


def faulty_questions(root: Path) -> Faulty:
    """Return datasets of questions with one fault each, and the judge."""
    picture(root / "images", "1.png", 0)
    question = {"question_id": 1, "image": "2.png", "text": "Is there a cat?", "label": "no"}
    pope = write(root / "pope.json", question)
    (root / "broken.json").write_text("{")
    asked = {"kind": "language", "images": str(root / "images"), "format": "pope"}
    return {
        "no-file": ({**asked, "questions": "no.json"}, "no.json"),
        "no-image": ({**asked, "questions": pope}, "2.png"),
        "no-json": ({**asked, "questions": str(root / "broken.json")}, "broken.json"),
    }


def faulty_models(root: Path, hub: Hub) -> Faulty:
    """Return models with one fault each."""
    (root / "w.pt").write_bytes(b"weights")
    for name, kind in (("bert", "bert"), ("whole", "clip")):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps({"model_type": kind}))
    (root / "open_clip").mkdir()
    hub.repos["org/resnet"], hub.repos["org/whole"] = RESNET, plain_open_clip()
    hub.repos["org/half"] = {**RESNET, "config.json": b'{"model_type": "clip"}'}
    clip = {"kind": "open_clip", "name": "tiny-words"}
    b32 = {"kind": "open_clip", "name": "ViT-B-32"}
    radapt = {"kind": "radapt", "base": "CLIP", "alpha": 1, "cutoff": 40}
    transformers = {"kind": "hugging_face"}
    return {
        "no tokenizer": ({**clip, "pretrained": "tiny"}, "org/words"),
        "no model": ({**b32, "name": "ViT-Q", "pretrained": "openai2"}, "no model 'ViT-Q'"),
        "no tag": ({**b32, "pretrained": "made-up"}, "no pretrained tag 'made-up'"),
        "no weights": ({**b32, "pretrained": "no/w.pt"}, "no/w.pt: no such file"),
        "undecided": ({**b32, "pretrained": str(root / "w.pt")}, "the activation; add"),
        "no tower": (
            {"kind": "open_clip", "name": "hf-hub:org/whole", "tower": "t.pt"},
            "t.pt: no such checkpoint",
        ),
        "no tower on the hub": (
            {"kind": "open_clip", "name": "hf-hub:org/whole", "tower": "hf-hub:org/half/a/t.pt"},
            "a/t.pt",
        ),
        "no repository": ({"kind": "open_clip", "name": "hf-hub:org/gone"}, "org/gone"),
        "empty folder": (
            {"kind": "open_clip", "name": f"local-dir:{root / 'open_clip'}"},
            "open_clip_model.safetensors or open_clip_pytorch_model.bin is missing",
        ),
        "no clip": ({**transformers, "name": str(root / "bert")}, "`model_type` is 'bert'"),
        "no files": ({**transformers, "name": str(root / "whole")}, "model.safetensors or"),
        "no clip on the hub": (
            {**transformers, "name": "org/resnet"},
            "org/resnet: `model_type` is 'resnet'; allowed: clip, siglip",
        ),
        "no clip, with a processor": (
            {**transformers, "name": "org/resnet", "processor": "org/half"},
            "org/resnet: `model_type` is 'resnet'; allowed: clip, siglip",
        ),
        "no folder of the processor": (
            {**transformers, "name": "org/half", "processor": "./gone"}, "./gone: no such folder",
        ),
        "no anchor": ({**radapt, "anchor": {"file": "a.safetensors"}}, "no such anchor"),
        "no module": ({"kind": "python", "target": "gone_for_good:make"}, "gone_for_good"),
    }  # fmt: skip


def assert_all_named(suite: Suite, results: Path, expected: dict[str, str]) -> None:
    """Assert that `fetch` and `doctor` name all faults and no others."""
    _, problems = fetch(suite, FetchWatcher())
    found = [each.what for each in examine(suite, results) if each.level == "bad"]
    for named in (problems, dict(what.split(": ", 1) for what in found)):
        assert named.keys() == expected.keys()
        for key, text in expected.items():
            assert text in named[key]


def test_one_fault_of_each_kind_of_models_and_images(
    hub: Hub, suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = {**TEXT, "hf_tokenizer_name": "org/words"}
    config = register(monkeypatch, "tiny-words", "org/tiny", text)
    hub.repos["org/tiny"] = {"open_clip_pytorch_model.bin": weights_of(config)}
    sets, models = faulty_images(tmp_path), faulty_models(tmp_path, hub)
    fine = {"CLIP": {"kind": "nano", "weights": "clip"}}
    suite = suite_file(
        datasets=["digits", *({"name": name, **entry} for name, (entry, _) in sets.items())],
        models={**fine, **{name: entry for name, (entry, _) in models.items()}},
        attacks=None, threats=None,
    )  # fmt: skip
    expected = {
        **{f"datasets.{name}": text for name, (_, text) in sets.items()},
        **{f"models.{name}": text for name, (_, text) in models.items()},
    }
    assert_all_named(load_suite(suite), tmp_path, expected)
    # no weights for nothing
    assert not [path for path in hub.bodies() if "org/resnet" in path or "org/half" in path]


def test_one_fault_of_each_kind_of_questions_and_judges(
    hub: Hub, suite_file: Maker, tmp_path: Path
) -> None:
    sets = faulty_questions(tmp_path)
    fine = {"kind": "language", "format": "embedded", "name": "set", "of": "digits", "ask": "what"}
    datasets = [fine, *({"name": name, **entry} for name, (entry, _) in sets.items())]
    hub.repos["org/resnet"] = RESNET
    models = {
        "Tiny": {"kind": "lvlm-tiny", "family": "llava"},
        "another type": {"kind": "lvlm", "name": "org/resnet"},
        "no folder": {"kind": "lvlm", "name": "./llava"},
    }
    expected = {
        **{f"datasets.{name}": text for name, (_, text) in sets.items()},
        "models.another type": "org/resnet: `model_type` is 'resnet'; the installed transformers",
        "models.no folder": "./llava: no such folder",
    }
    for judge, text in (
        ({"name": "org/judge"}, "needs `revision`"),
        ({"name": "org/judge", "revision": "a" * 40}, "org/judge"),
    ):
        protocol = {"preset": "lvlm", "judge": {"kind": "transformers", **judge}}
        given = {**WORDS, "models": models, "datasets": datasets, "protocol": protocol}
        suite = load_suite(suite_file(**given))
        assert_all_named(suite, tmp_path, {**expected, "protocol.judge": text})
    assert hub.bodies() == []


def test_a_run_downloads_no_weights_that_it_cannot_load(
    hub: Hub, suite_file: Maker, tmp_path: Path
) -> None:
    hub.repos["org/resnet"] = RESNET
    models = {"M": {"kind": "hugging_face", "name": "org/resnet"}}
    path = suite_file(models=models, datasets=["digits"], attacks=None, threats=None)
    report = run_suite(path, results=tmp_path / "results")
    assert report.failed == report.cells == 1
    assert hub.bodies() == []


def in_parts(folder: Path) -> None:
    """Two pickled parts and their index, as `save_pretrained` wrote them before safetensors."""
    (folder / "model.safetensors").unlink()
    parts = {str(n): f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)}
    for part in parts.values():
        (folder / part).write_bytes(part.encode())
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": parts}))


def slow_tokenizer(folder: Path) -> None:
    """A vocabulary and merges in place of tokenizer.json."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text("{}")
    (folder / "merges.txt").write_text("#version: 0.2\n")


def one_processor(folder: Path) -> None:
    """The settings for images where today's transformers writes them."""
    images = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": images}))


@pytest.mark.parametrize("change", [in_parts, slow_tokenizer, one_processor])
def test_layouts_that_transformers_has_written(
    change: Callable[[Path], None], hub: Hub, suite_file: Maker, tmp_path: Path
) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    small_clip(folder)
    change(folder)
    hub.repos["org/clip"] = folder_files(folder)
    models = {"M": {"kind": "hugging_face", "name": "org/clip"}}
    suite = load_suite(suite_file(models=models, datasets=["digits"], attacks=None, threats=None))
    assert fetch(suite, FetchWatcher())[1] == {}
    asked = {path.rpartition("/")[2] for _, path, _ in hub.log}
    assert asked >= set(folder_files(folder))

    def names(place: str) -> list[str]:
        spec = HuggingFaceModel(kind="hugging_face", name=place)
        return [path.name for path in weight_files(spec)]

    assert names("org/clip") == names(str(folder))
    assert set(names(str(folder))) == set(folder_files(folder))
