"""The command `data`: what is read of every kind of dataset, on a page and in short."""

import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run_bench
from bench.data import index_dataset
from bench.report.data_overview import Overview, overview
from bench.report.export.data_page import data_page
from bench.suite.load import Suite
from bench.suite.specs import LanguageDataset
from tests.conftest import SMALL, write_shard
from tests.data.test_folder import caltech256, picture
from tests.hub.test_hub_datasets import REPO
from tests.support.every_command import write_suite
from tests.support.hub_server import Hub
from tests.support.question_files import WORDS, coco_captions, pope, vqav2

BARE = {**SMALL, "attacks": None, "threats": None, "samples": 4}


def suite_of(*datasets: object, **changes: Any) -> Suite:
    kept = {**BARE, "datasets": list(datasets), **changes}
    return Suite.model_validate({key: value for key, value in kept.items() if value})


def first(suite: Suite, count: int = 3) -> Overview:
    return overview(suite, suite.datasets[0], count)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name, images in (("1.zebra_finch", 3), ("american-flag", 2)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(images):
            (tmp_path / "set" / name / f"{number}.png").write_bytes(picture(50 * number))
    return tmp_path / "set"


def test_a_folder_shows_classes_prompts_counts_and_samples(folders: Path) -> None:
    (folders / "american-flag" / "x.gif").touch()
    entry = {"kind": "folder", "name": "mine", "path": str(folders)}
    suite = suite_of(entry, samples=4, protocol={**SMALL["protocol"], "templates": ["a {c}!"]})
    found = first(suite)
    chosen = index_dataset(suite.datasets[0], 4, suite.seed).sample_ids
    finch = sum(key.startswith("1.") for key in chosen)
    rows = [(r.label, r.folder, r.name, r.prompt, r.images, r.sampled) for r in found.classes]
    assert rows == [
        (0, "1.zebra_finch", "zebra finch", "a zebra finch!", 3, finch),
        (1, "american-flag", "american flag", "a american flag!", 2, 4 - finch),
    ]
    assert (found.samples, found.sampled, found.unit, found.fault) == (5, 4, "images", "")
    assert found.templates == ("a {c}!",)
    assert "1 files were not read" in found.remarks[0]
    assert {sample.sample_id for sample in found.shown} < set(chosen)
    for sample in found.shown:
        folder, _, name = sample.sample_id.partition("/")
        label = int(folder == "american-flag")
        assert sample.texts == ((f"class {label}", found.classes[label].name),)
        assert sample.image[0, 0, 0] == 50 * int(name[0])


def test_shards_captions_and_prompts(dataset: Callable[..., Path], tmp_path: Path) -> None:
    entry = {"kind": "webdataset", "name": "w", "path": str(dataset())}
    own = {**SMALL["protocol"], "templates": "dataset"}
    (tmp_path / "set" / "zeroshot_classification_templates.txt").write_text("the {c}\n{c}\n")
    found = first(suite_of(entry, protocol=own))
    assert [row.images for row in found.classes] == [4, 4, 4]
    assert {row.folder for row in found.classes} == {""}
    assert (found.templates, found.classes[2].prompt) == (("the {c}", "{c}"), "the thing 2")
    root = tmp_path / "captioned"
    write_shard(root / "test" / "0.tar", [("a.png", picture(7)), ("a.txt", b"one\ntwo\n")])
    (root / "test" / "nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    found = first(suite_of({**entry, "path": str(root), "task": "retrieval"}))
    assert (found.classes, found.templates, found.samples) == ((), (), 1)
    assert found.shown[0].texts == (("caption", "one"), ("caption", "two"))


def test_nothing_is_downloaded(hub: Hub, dataset: Callable[..., Path], tmp_path: Path) -> None:
    hub.add(REPO, dataset())
    suite = suite_of({"kind": "hub", "name": "set", "repo": REPO})
    assert first(suite).fault == f"{REPO} is not in the hub's cache; run `fetch`"
    assert hub.bodies() == []
    index_dataset(suite.datasets[0], 4, suite.seed)
    assert [row.name for row in first(suite).classes] == ["thing 0", "thing 1", "thing 2"]
    suite = suite_of({"kind": "torchvision", "name": "caltech256", "root": str(tmp_path)})
    assert first(suite).fault == f"{tmp_path}/caltech256 is missing or incomplete; run `fetch`"
    (tmp_path / "caltech256").mkdir()
    caltech256(tmp_path / "caltech256" / "a.tar")
    with tarfile.open(tmp_path / "caltech256" / "a.tar") as archive:
        archive.extractall(tmp_path / "caltech256", filter="data")
    (tmp_path / "caltech256" / ".complete").touch()
    found = first(suite)
    assert (found.classes[0].folder, found.classes[0].name) == ("001.thing-1", "thing 1")
    assert (len(found.classes), found.classes[256].images, found.fault) == (257, 1, "")


@pytest.mark.parametrize(
    ("make", "texts", "answers"),
    [
        (pope, {"question": "Is there a car 1?", "answers": "yes", "decoy": "no"}, ()),
        (
            vqav2,
            {"question": "Where is he looking?", "answers": "down ×6 · at table ×4"},
            (("down", 3), ("at table", 3)),
        ),
        (coco_captions, {"answers": "A woman stands in a dining area."}, ()),
    ],
)
def test_questions_and_captions_of_a_language_dataset(
    tmp_path: Path,
    make: Callable[[Path], LanguageDataset],
    texts: dict[str, str],
    answers: tuple[tuple[str, int], ...],
) -> None:
    found = first(suite_of(make(tmp_path).model_dump(), **WORDS))
    assert (found.fault, found.unit, found.classes) == ("", "questions", ())
    shown = dict(found.shown[0].texts)
    assert {key: shown[key][: len(text)] for key, text in texts.items()} == texts
    assert sorted(found.answers) == sorted(answers)


def test_the_command_names_what_cannot_be_read_and_shows_the_rest(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is not UTF-8 is a reason to stop reading, and none to stop writing."""
    (folders / "american-flag" / os.fsdecode(b"caf\xe9.gif")).touch()
    shutil.copytree(folders, tmp_path / "copy")
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(folders / "american-flag" / "0.png", tmp_path / "copy" / "american-flag" / name)
    form = tarfile.GNU_FORMAT
    with tarfile.open(tmp_path / "0.tar", "w", format=form, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("café.xyz"))
    (tmp_path / "shards" / "test").mkdir(parents=True)
    (tmp_path / "0.tar").rename(tmp_path / "shards" / "test" / "0.tar")
    (tmp_path / "shards" / "test" / "nshards.txt").write_text("1")
    datasets = [
        {"kind": "folder", "name": "<b>mine</b>", "path": str(folders)},
        {"kind": "folder", "name": "copy", "path": str(tmp_path / "copy")},
        {"kind": "webdataset", "name": "shards", "path": str(tmp_path / "shards")},
        "digits",
    ]
    path = write_suite(tmp_path, datasets=datasets)
    code = run_bench.main(["data", str(path), "--results", str(tmp_path / "r"), "--count", "2"])
    out = capsys.readouterr().out
    assert code == 1
    assert "<b>mine</b>: 2 classes, 5 images, 2 in the sample\n  images per class: 2 to 3" in out
    assert r"(first: american-flag/caf\udce9.gif)" in out
    assert r"copy: cannot be read: " in out
    assert r"the name 'american-flag/caf\udce9.png' of an image has a lone surrogate" in out
    assert "shards: cannot be read" in out
    assert "digits: 10 classes, 500 images, 2 in the sample\n  images per class: 46 to 51" in out
    page = (tmp_path / "r" / "small" / "data.html").read_text("utf-8")
    assert "<b>mine" not in page
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "(first: caf\ufffd.xyz)" in page
    assert page.count("<img ") == 4


def test_a_damaged_image_is_the_fault_of_its_dataset(folders: Path) -> None:
    for path in folders.rglob("*.png"):
        path.write_bytes(b"?")
    found = first(suite_of({"kind": "folder", "name": "mine", "path": str(folders)}))
    assert (len(found.classes), found.shown) == (2, ())
    assert re.search(r"set: [^ ]+\.png: ", found.fault)
    assert "Cannot be read" in data_page(suite_of("digits"), [found])


def test_a_link_to_nothing_is_the_fault_of_its_dataset(folders: Path) -> None:
    for folder in folders.iterdir():
        for path in folder.iterdir():
            path.unlink()
        (folder / "0.png").symlink_to(folders / "gone.png")
    found = first(suite_of({"kind": "folder", "name": "mine", "path": str(folders)}))
    assert re.search(r"0\.png: cannot be read \(No such file", found.fault)
