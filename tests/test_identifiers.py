"""Texts that come from files and name files: none leads out of the folder of results.

Each is given paths out of it and texts that no file can be called by. A tree beside the results
must stay as it was, and the command must say what was given, and end with 2.
"""

import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import run_bench
from bench.core.errors import CellError, UserError
from bench.core.identifiers import (
    is_file_name,
    is_id,
    is_key,
    is_part,
    is_repository,
    relative_path_fault,
)
from bench.core.types import CellResult
from bench.data import index_dataset
from bench.hub.files import HubFile, check
from bench.hub.weights import weight_files
from bench.plan.cells import expand
from bench.report.export import export
from bench.store.crafts import Craft
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.specs import HuggingFaceModel, LanguageDataset
from bench.suite.specs.models import OpenClipModel
from tests.conftest import png, write_shard
from tests.results.test_tables import LOCK, SUITE
from tests.share.test_merging import CELLS, bundle, filled
from tests.support.stored_cells import is_finished, store_as_before

CELL = CELLS[0]
UNNAMEABLE = {
    "empty": "",
    "NUL": "a\0b",
    "newline": "a\nb",
    "5,000 letters": "a" * 5000,
    "half a pair of code points": "a\ud800b",
}
LEADING_OUT = {
    "absolute": "/tmp/outside",
    "up": "..",
    "up and down": "../outside",
    "down and up": "x/../../../outside",
    "a drive": "C:\\outside",
    "a backslash": "..\\outside",
}
HOSTILE = {**LEADING_OUT, **UNNAMEABLE}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Return a folder beside that of results; nothing in it has changed after the test."""
    folder = tmp_path / "outside"
    for name in ("x.json", ".x.json.tmp", "sub/.hidden.json.tmp", "sub/cells/x.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    before = content_of(folder)
    yield folder
    assert content_of(folder) == before
    assert not Path("/tmp/outside").exists()


def content_of(folder: Path) -> dict[str, bytes | None]:
    """Return all that is below a folder: files with their content."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def texts(outside: Path) -> dict[str, str]:
    """Return the texts to try; those that lead out lead to where something is, too."""
    return {
        **HOSTILE,
        "to a folder that is there": str(outside / "sub"),
        "up to it": "../../outside/x",
    }


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.model_dump_json())  # JSON is YAML, too
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Call a command, which must end with 2, and return what it says."""
    assert run_bench.main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.strip()
    assert len(said) < 1500  # no matter how long a text was given
    return said


def only_cell(root: Path) -> Path:
    """Return a folder of results with one cell, and its file from an earlier version."""
    (path,) = store_as_before(filled(root, every=len(CELLS)).folder)
    assert path.stem == CELL.id
    return path


def test_forms() -> None:
    for name, text in HOSTILE.items():
        assert not is_id(text), name
        assert not is_part(text), name
        assert not is_key(text), name
        assert not is_key(f"{CELL.id}.{text}"), name
        assert not is_repository(text), name
        assert not is_repository(f"owner/{text}"), name
        assert not is_file_name(text), name
        assert relative_path_fault(text), name
    assert not is_id(f"{CELL.id}\n")
    assert not is_id(5)
    assert is_id(CELL.id)
    assert is_key(f"{CELL.id}.0000256")
    assert is_repository("clip-benchmark/wds_vtab-caltech101")
    assert is_file_name("model-00001-of-00002.safetensors")
    for path in ("a.jpg", "./a.jpg", "val2014/COCO_1.jpg", "a..b/ä c.png", "refs/pr/1"):
        assert relative_path_fault(path) is None


def test_a_store_makes_no_path_of_what_is_no_id(tmp_path: Path, outside: Path) -> None:
    store = Store(tmp_path / "results", "s")
    none = np.zeros(0, np.float32)
    craft = Craft(np.zeros((1, 3, 2, 2), np.float16), 1, 1)
    for text in texts(outside).values():
        result = CellResult(text, "skip", none > 0, (), none, 1.0, 0, {}, "why")
        key = f"{text}.0000000"
        calls: dict[str, Callable[[], object]] = {
            "put": lambda result=result: store.put(result),
            "get": lambda text=text: store.get(text),
            "a part's cell": lambda text=text, r=result: store.put_part(text, "0000000", r),
            "a part": lambda text=text, r=result: store.put_part(CELL.id, text, r),
            "reading a part": lambda text=text: store.part(CELL.id, text),
            "a craft": lambda key=key: store.put_craft(key, craft),
            "a craft's part": lambda text=text: store.put_craft(f"{CELL.id}.{text}", craft),
            "reading a craft": lambda text=text: store.has_craft(text),
            "a craft's lock": lambda key=key: store.crafting(key, lambda: None).__enter__(),
            "a page": lambda text=text: store.path_of("images", text, "html"),
        }
        for name, call in calls.items():
            with pytest.raises(UserError, match="allowed: "):
                call()
                pytest.fail(f"{name}: {text[:40]!r}")
    assert not (tmp_path / "results").exists()


def test_a_folder_whose_cell_calls_itself_otherwise_is_not_merged(
    tmp_path: Path, outside: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = only_cell(tmp_path / "theirs")
    record = json.loads(file.read_text())
    other = CELLS[1].id  # of the right form, but not the file's name
    for name, text in {**texts(outside), "another cell": other}.items():
        file.write_text(json.dumps({**record, "cell_id": text}))
        said = refused(
            capsys, "merge", suite, tmp_path / "theirs", "--results", tmp_path / "results"
        )
        if name != "half a pair of code points":  # which is no JSON, so that there is no cell
            assert f"{file}: cell_id: got " in said, name
        left = {path.name for path in (tmp_path / "results").rglob("*")}
        assert left <= {SUITE.suite, "run.lock"}, name


@pytest.mark.parametrize("field", ["status", "seconds", "sample_ids", "flags", "distance"])
def test_fields_of_a_folder_are_checked_as_those_of_a_bundle(
    tmp_path: Path, suite: Path, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    file = only_cell(tmp_path / "theirs")
    record = json.loads(file.read_text())
    wrong = {"status": "great", "seconds": "1", "sample_ids": "0|0", "flags": ["\x9b2J"],
             "distance": "0000c07f" * 40}  # fmt: skip
    file.write_text(json.dumps({**record, field: wrong[field]}))
    said = refused(capsys, "merge", suite, file.parents[1], "--results", tmp_path / "results")
    assert str(file) in said


def test_a_bundle_with_such_ids_or_members_is_refused(
    tmp_path: Path, outside: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = bundle(filled(tmp_path / "theirs", every=len(CELLS)), tmp_path / "good.zip")
    with zipfile.ZipFile(good) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    line = json.loads(members["results.jsonl"])
    bad = tmp_path / "bad.zip"
    for name, text in texts(outside).items():
        hostile = {**line, "cell_id": text}
        variants = [{**members, "results.jsonl": json.dumps(hostile).encode()}]
        if name not in ("half a pair of code points", "empty"):  # Python writes no such member
            variants.append({**members, text: b"x"})
        for variant in variants:
            with zipfile.ZipFile(bad, "w") as archive:
                for member, content in variant.items():
                    archive.writestr(member, content)
            said = refused(capsys, "merge", suite, bad, "--results", tmp_path / "results")
            assert str(bad) in said, name


def test_a_stored_cell_of_another_name_is_not_believed(tmp_path: Path, outside: Path) -> None:
    file = only_cell(tmp_path / "results")
    store = Store(tmp_path / "results", SUITE.suite)
    assert is_finished(store, CELL.id)
    store.put_part(CELL.id, "0000000", store.get(CELL.id))  # type: ignore[arg-type]
    part = store.folder / "parts" / CELL.id / "0000000.json"
    record = json.loads(file.read_text())
    for text in (*texts(outside).values(), CELLS[1].id):
        for path in (file, part):
            path.write_text(json.dumps({**record, "cell_id": text}))
        assert store.get(CELL.id) is None
        assert store.part(CELL.id, "0000000") is None


WEB = {"kind": "webdataset", "name": "w", "path": "data"}
HUB = {"kind": "hub", "name": "h", "repo": "owner/name"}
INSIDE: dict[str, Callable[[str], dict[str, Any]]] = {
    "suite": lambda text: {"suite": text},
    "datasets.0.split": lambda text: {"datasets": [{**WEB, "split": text}]},
    "datasets.0.split ": lambda text: {"datasets": [{**HUB, "split": text}]},
    "datasets.0.repo": lambda text: {"datasets": [{**HUB, "repo": text}]},
    "datasets.0.repo ": lambda text: {"datasets": [{**HUB, "repo": f"owner/{text}"}]},
    "datasets.0.revision": lambda text: {"datasets": [{**HUB, "revision": text}]},
    "models.A.revision": lambda text: {
        "models": {"A": {"kind": "hugging_face", "name": "owner/name", "revision": text}}
    },
    "models.A.revision ": lambda text: {
        "models": {"A": {"kind": "open_clip", "name": "hf-hub:owner/name", "revision": text}}
    },
    "models.A": lambda text: {"models": {"A": {"kind": "open_clip", "name": f"hf-hub:{text}"}}},
}
ANYWHERE: dict[str, Callable[[str], dict[str, Any]]] = {
    "datasets.0.path": lambda text: {"datasets": [{**WEB, "path": text}]},
    "datasets.0.path ": lambda text: {"datasets": [{"kind": "folder", "name": "f", "path": text}]},
    "datasets.0.root": lambda text: {
        "datasets": [{"kind": "torchvision", "name": "caltech256", "root": text}]
    },
    "datasets.0.images": lambda text: {
        "datasets": [{"kind": "language", "format": "pope", "name": "p", "questions": "q.json",
                      "images": text}]
    },
    "models.A.name": lambda text: {"models": {"A": {"kind": "hugging_face", "name": text}}},
    "models.A.pretrained": lambda text: {
        "models": {"A": {"kind": "open_clip", "name": "ViT-B-32", "pretrained": text}}
    },
    "models.A.tower": lambda text: {
        "models": {"A": {"kind": "open_clip", "name": "hf-hub:owner/name", "tower": text}}
    },
    "against.file": lambda text: {"against": {"file": text}},
}  # fmt: skip


@pytest.mark.parametrize("key", [*INSIDE, *ANYWHERE])
def test_what_a_suite_says_has_its_form(
    tmp_path: Path, outside: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    plain = {"suite": "s", "protocol": {"preset": "radapt-paper", "pixels": "native"},
             "samples": 4, "models": {"A": {"kind": "nano", "weights": "clip"}},
             "datasets": ["cifar10"]}  # fmt: skip
    change = {**INSIDE, **ANYWHERE}[key]
    path = tmp_path / "suite.yaml"
    for name, text in (texts(outside) if key in INSIDE else UNNAMEABLE).items():
        path.write_text(yaml.safe_dump({**plain, **change(text)}))
        said = refused(capsys, "plan", path, "--results", tmp_path / "results")
        assert key.strip() in said, name
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["crafts", "judged", "CRAFTS"])
def test_a_suite_is_not_called_as_a_folder_that_all_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({**json.loads(SUITE.model_dump_json()), "suite": name}))
    assert f"suite: got '{name}'" in refused(capsys, "plan", path)


def test_names_in_tables_are_no_paths(tmp_path: Path, outside: Path) -> None:
    nano = {"kind": "nano", "weights": "clip"}
    names = [LEADING_OUT["up and down"], LEADING_OUT["absolute"]]
    declared = json.loads(SUITE.model_dump_json())
    suite = Suite.model_validate(
        {**declared, "models": {name: nano for name in names}, "threats": ["white-box"],
         "datasets": [{**WEB, "name": name} for name in names]}
    )  # fmt: skip
    store = Store(tmp_path / "results", suite.suite)
    for cell in {cell.id: cell for cell in expand(suite, LOCK)}.values():
        store.put(
            CellResult(cell.id, "ok", np.ones(2, bool), ("0", "1"), np.zeros(2, np.float32), 1.0,
                       1, {})
        )  # fmt: skip
    export(read_results(suite, store), figures=True)
    for path in tmp_path.rglob("*"):
        assert path.is_relative_to(outside) or path.is_relative_to(tmp_path / "results")


FOLDERS = ("cells", "parts", f"parts/{CELL.id}", "runs", "trust", "images", "figures", "",
           "../crafts", "../crafts/.locks", "../judged", "../judged/ab")  # fmt: skip
FILES = ("run.lock", "lock.json", "cells.csv", "figures/bars.png", "../crafts/.locks/x.lock")


@pytest.mark.parametrize("link", [*FOLDERS, *FILES])
@pytest.mark.parametrize("command", ["run", "export"])
def test_links_out_of_the_results_are_refused(
    tmp_path: Path, outside: Path, suite: Path, capsys: pytest.CaptureFixture[str], link: str,
    command: str,
) -> None:  # fmt: skip
    path = Path(os.path.normpath(tmp_path / "results" / SUITE.suite / link))
    path.parent.mkdir(parents=True)
    path.symlink_to(outside / "x.json" if link in FILES else outside)
    said = refused(capsys, command, suite, "--results", tmp_path / "results")
    assert f"{path}: is a link to {outside}" in said


def test_links_within_the_results_are_followed(tmp_path: Path) -> None:
    store = filled(tmp_path / "results")
    (store.folder / "cells").rename(tmp_path / "results" / "elsewhere")
    (store.folder / "cells").symlink_to(tmp_path / "results" / "elsewhere")
    assert is_finished(Store(tmp_path / "results", SUITE.suite), CELL.id)


def test_what_is_left_over_is_removed_and_folders_are_not(tmp_path: Path) -> None:
    store = filled(tmp_path / "results")
    cells = store.folder / "cells"
    left, kept = cells / ".x.images.1", cells / ".x.images.folder"
    left.write_text("")
    kept.mkdir()
    store.tidy()
    assert (left.exists(), kept.exists()) == (False, True)


@pytest.mark.parametrize(
    "link", ["cells", f"cells/{CELL.id}.json", "lock.json", "cells/000001.cells"]
)
def test_links_in_the_results_of_another_are_refused(
    tmp_path: Path, outside: Path, suite: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    folder = filled(tmp_path / "theirs").folder
    if link.endswith(".json"):
        store_as_before(folder)
    path = folder / link
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    said = refused(capsys, "merge", suite, tmp_path / "theirs", "--results", tmp_path / "results")
    assert f"{path}: is a link" in said


def test_a_pipe_in_place_of_a_cell_is_not_waited_for(tmp_path: Path) -> None:
    file = only_cell(tmp_path / "results")
    file.unlink()
    os.mkfifo(file)
    store = Store(tmp_path / "results", SUITE.suite)
    assert not is_finished(store, CELL.id)
    os.mkfifo(store.folder / "cells" / "000001.cells")
    assert not is_finished(store, CELL.id)


def test_tables_with_such_ids_are_not_compared_with(
    tmp_path: Path, outside: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path / "results")
    theirs = filled(tmp_path / "theirs")
    export(read_results(SUITE, theirs))
    tables = {name: (theirs.folder / name).read_text() for name in ("cells.csv", "manifest.json")}
    for text in (*LEADING_OUT.values(), "a" * 5000, str(outside / "x")):
        for name, content in tables.items():
            written = text if name == "cells.csv" else json.dumps(text)[1:-1]
            (theirs.folder / name).write_text(content.replace(CELL.id, written))
        said = refused(
            capsys, "compare", suite, "--with", theirs.folder, "--results", tmp_path / "results"
        )
        assert f"{theirs.folder}: cell_id: got " in said


def test_the_logs_of_a_run_are_in_its_folder(
    tmp_path: Path, outside: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = filled(tmp_path / "results").folder
    owner = {"host": "h", "pid": 1, "started": "now", "executor": "inline"}
    for text in (*texts(outside).values(), 5):
        (folder / "run.json").write_text(json.dumps({**owner, "logs": text}))
        assert run_bench.main(["status", str(suite), "--results", str(tmp_path / "results")]) == 0
        assert "outside" not in capsys.readouterr().out.replace(str(tmp_path), "")


def questions(folder: Path, form: str, image: object) -> dict[str, Any]:
    """Write the files of a format that name an image, and return the dataset's entry."""
    entries: dict[str, dict[str, Any]] = {
        "pope": {"questions": {"question_id": 1, "image": image, "text": "t?", "label": "yes"}},
        "coco-captions": {
            "annotations": {
                "images": [{"id": 1, "file_name": image}],
                "annotations": [{"image_id": 1, "caption": "c"}],
            }
        },
        "karpathy": {
            "annotations": {
                "images": [{"filename": image, "split": "test", "sentences": [{"raw": "c"}]}]
            }
        },
        "textvqa": {
            "questions": {
                "data": [{"question_id": 1, "image_id": image, "question": "q", "answers": ["a"]}]
            }
        },
        "v-attack": {
            "objects": [{"image": image, "caption": ["o: t"]}],
            "targets": [{"image": image, "replace": ["o: t"]}],
        },
    }
    (folder / "images").mkdir(exist_ok=True)
    for key, content in entries[form].items():
        (folder / f"{key}.json").write_text(json.dumps(content))
    asked = {"ask": "caption"} if form == "v-attack" else {}
    return {
        **{key: str(folder / f"{key}.json") for key in entries[form]},
        **{"kind": "language", "format": form, "name": "q", "images": str(folder / "images")},
        **asked,
    }


@pytest.mark.parametrize("form", ["pope", "coco-captions", "karpathy", "textvqa", "v-attack"])
def test_images_that_annotations_name_are_in_their_folder(
    tmp_path: Path, outside: Path, form: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, text in texts(outside).items():
        if form == "textvqa" and name in ("empty", "up"):
            continue  # `.jpg` is added, which makes them names
        spec = LanguageDataset.model_validate(questions(data, form, text))
        refusal = r"\.json: the image of .* is .*which is not allowed in .*: it "
        with pytest.raises(CellError, match=refusal):
            index_dataset(spec, 1, 0)


def test_images_of_a_list_of_annotations_are_in_its_folder(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    spec = Suite.model_validate(
        {**json.loads(SUITE.model_dump_json()),
         "datasets": [{"kind": "folder", "name": "f", "path": str(root)}]}
    ).datasets[0]  # fmt: skip
    for name, text in texts(outside).items():
        if "code points" not in name:  # which UTF-8 cannot hold
            (root / "val_annotations.txt").write_text(f"{text}\tn01440764\t0\t0\t1\t1\n")
            with pytest.raises(CellError, match=r"val_annotations\.txt, line 1: got "):
                index_dataset(spec, 1, 0)


def web(root: Path, name: str, shards: str = "1") -> Any:
    """Write a dataset in CLIP_benchmark's layout with one image, and return its spec."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    write_shard(root / "test" / "0.tar", [(f"{name}.png", png(pixels)), (f"{name}.cls", b"0")])
    (root / "test" / "nshards.txt").write_text(shards)
    (root / "classnames.txt").write_text("thing\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}\n")
    declared = json.loads(SUITE.model_dump_json())
    return Suite.model_validate({**declared, "datasets": [{**WEB, "path": str(root)}]}).datasets[0]


def test_the_count_of_shards_is_a_number(tmp_path: Path, outside: Path) -> None:
    for text in ("²", "-1", "1" * 5000, "10000000", "0", "../outside/0", "", "1e3"):
        allowed = r"nshards\.txt: got .*; allowed: a number from 1 to 999999"
        with pytest.raises(CellError, match=allowed):
            index_dataset(web(tmp_path / "data", "a", text), 1, 0)


def test_members_of_a_shard_are_not_unpacked(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "data"
    for name in (str(outside / "x"), "../outside/x", "C:\\x", "a" * 5000):  # names, never paths
        assert index_dataset(web(root, name), 1, 0).sample_ids == (name,)
    with pytest.raises(CellError, match=r"0\.tar: it has no images"):  # hidden files are skipped
        index_dataset(web(root, ".."), 1, 0)
    with pytest.raises(CellError, match="of an image has a lone surrogate"):
        index_dataset(web(root, "a\udcff"), 1, 0)
    spec = web(root, "a")
    with tarfile.open(root / "test" / "0.tar", "w") as archive:
        for name in ("a.png", "a.cls"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, str(outside / "x.json")
            archive.addfile(member)
    with pytest.raises(CellError, match=r"0\.tar: 'a\.png' is not a plain file"):
        index_dataset(spec, 1, 0)


def test_parts_of_weights_are_beside_their_index(tmp_path: Path, outside: Path) -> None:
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json",
                 "tokenizer.json"):  # fmt: skip
        (tmp_path / name).write_text('{"model_type": "clip"}')
    index = tmp_path / "model.safetensors.index.json"
    spec = HuggingFaceModel(kind="hugging_face", name=str(tmp_path))
    for text in (*texts(outside).values(), ".", "sub/x", 5, None, ["a"]):
        index.write_text(json.dumps({"weight_map": {"a": text}}))
        with pytest.raises(CellError, match=r"index\.json: (`weight_map` must|not valid JSON)"):
            weight_files(spec)


def test_files_of_the_hub_are_in_their_repository(outside: Path) -> None:
    for text in texts(outside).values():
        for given in ({"repo": text}, {"path": text}, {"revision": text}):
            with pytest.raises(CellError, match=r"got the (repository|file|revision) "):
                HubFile(**{"repo": "owner/name", "path": "x", **given})


def test_a_damaged_file_of_the_cache_takes_none_outside_with_it(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    precious = tmp_path / ("a" * 64)
    precious.write_text("not what its name promises")
    link = tmp_path / "cache" / "snapshots" / "x"
    link.parent.mkdir(parents=True)
    link.symlink_to(precious)
    with pytest.raises(CellError, match="damaged copy is removed"):
        check(HubFile("owner/name", "x"), link)
    assert precious.exists()
    assert not link.is_symlink()


def test_names_of_models_are_looked_up_and_not_opened(tmp_path: Path) -> None:
    from bench import catalogue
    from bench.plan.cost.architecture import _shipped

    (tmp_path / "x.txt").write_text("a\n")
    (tmp_path / "x.json").write_text('{"a": 1}')
    for text in (*HOSTILE.values(), str(tmp_path / "x")):
        assert catalogue.class_names(text) is None
        assert _shipped(text) == {}
    assert OpenClipModel(kind="open_clip", name=f"local-dir:{tmp_path}").folder == tmp_path


@pytest.mark.parametrize("kind", ["lvlm", "hugging_face"])
def test_a_mistyped_path_of_a_model_ends_no_plan(tmp_path: Path, kind: str) -> None:
    declared = json.loads(SUITE.model_dump_json())
    language = {
        "kind": "language",
        "format": "embedded",
        "name": "w",
        "of": "cifar10",
        "ask": "what",
    }
    attack = {"kind": "apgd-text", "eps": "1/255", "steps": 2}
    path = tmp_path / "suite.yaml"
    worded = {"datasets": [language], "attacks": [attack]} if kind == "lvlm" else {}
    path.write_text(
        yaml.safe_dump(
            {**declared, **worded, "models": {"A": {"kind": kind, "name": "no/such/../folder"}},
             "threats": ["white-box"]}
        )
    )  # fmt: skip
    assert run_bench.main(["plan", str(path), "--results", str(tmp_path / "results")]) == 0
