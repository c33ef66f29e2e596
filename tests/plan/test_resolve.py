"""Names resolved to content: what is said of parts that cannot be had, and of other texts."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import catalogue
from bench.core.digests import hash_files
from bench.core.resolved_names import Lock
from bench.plan.identity import digest, model_identity
from bench.plan.resolve import fingerprint, remarks, resolve
from bench.suite.load import load_suite
from bench.suite.specs import PythonModel
from tests.conftest import png
from tests.support.hub_server import Hub

Maker = Callable[..., Path]
PCAM = ("lymph node", "lymph node containing metastatic tumor tissue")


def test_the_whole_of_a_set_has_a_reason_of_its_own(suite_file: Maker, tmp_path: Path) -> None:
    """An image that is not in the sample cannot be read: attacked cells do without it."""
    root = tmp_path / "images"
    for number in range(8):
        path = root / f"thing {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(np.full((8, 8, 3), number, np.uint8)))
    protocol = {"preset": "radapt-paper", "clean": "all"}
    entry = {"kind": "folder", "name": "mine", "path": str(root)}
    suite = load_suite(suite_file(datasets=[entry], samples=4, protocol=protocol))
    lock, problems = resolve(suite)
    assert problems == {}
    assert len(lock.whole["mine"].sample_ids) == 8
    sample = lock.datasets["mine"].sample_ids
    lost = next(key for key in lock.whole["mine"].sample_ids if key not in sample)
    (root / lost).unlink()
    (root / lost).symlink_to(tmp_path / "gone")
    again, problems = resolve(suite)
    assert again.datasets == lock.datasets
    assert again.whole == {}
    assert list(problems) == ["datasets.mine.whole"]
    assert "FileNotFoundError" in problems["datasets.mine.whole"]


@pytest.mark.parametrize(
    ("classes", "prompts", "templates", "expected"),
    [
        (PCAM, None, "dataset", []),
        (
            ("healthy", PCAM[1]),
            None,
            "dataset",
            [
                "1 of 2 class names differ from the catalogue's, first 'healthy' in place of "
                "'lymph node'"
            ],
        ),
        (
            PCAM,
            ["a photo of {c}"],
            "dataset",
            [
                "the dataset's files have 1 prompt templates, 1 of them missing from the "
                "catalogue's 2"
            ],
        ),
        (PCAM, ["a photo of {c}"], ["a photo of a {c}"], []),
    ],
)
def test_texts_that_are_not_the_catalogue_s_are_remarked(
    hub: Hub, dataset: Maker, suite_file: Maker, classes: tuple[str, ...],
    prompts: list[str] | None, templates: object, expected: list[str],
) -> None:  # fmt: skip
    root = dataset(classes=2)
    (root / "classnames.txt").write_text("\n".join(classes))
    # in another order, which changes nothing
    lines = prompts or reversed(catalogue.templates("pcam") or ())
    (root / "zeroshot_classification_templates.txt").write_text("\n".join(lines))
    hub.add("clip-benchmark/wds_vtab-pcam", root)
    protocol = {"preset": "fare-paper", "templates": templates, "clean": "sample"}
    suite = load_suite(
        suite_file(datasets=[{"kind": "hub", "name": "pcam"}], samples=4, protocol=protocol)
    )
    lock, problems = resolve(suite)
    assert problems == {}
    found = list(remarks(suite, lock))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"datasets.pcam: {start}")
    flags = [remark.flag for remark in lock.datasets["pcam"].remarks]
    assert flags == (["data=class-names"] if classes != PCAM else [])


@pytest.mark.parametrize("changes", [{}, {"shards": 1}])
def test_another_count_of_classes_is_refused(
    hub: Hub, dataset: Maker, suite_file: Maker, changes: dict[str, object]
) -> None:
    hub.add("clip-benchmark/wds_vtab-pcam", dataset(classes=3))
    entry = {"kind": "hub", "name": "pcam", **changes}
    lock, problems = resolve(load_suite(suite_file(datasets=[entry])))
    assert lock.datasets == {}
    assert "3 class names and labels up to 2, but the dataset has 2" in problems["datasets.pcam"]


def content(target: str, **args: Any) -> str:
    return fingerprint(PythonModel(kind="python", target=target, args=args))


def test_a_users_model_is_identified_by_the_files_that_its_arguments_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text("def build(device, **args): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = hash_files([tmp_path / "mine_alone.py"])
    target = "mine_alone:build"
    # what names no file leaves identities as they were
    assert content(target) == code
    assert content(target, a=3, b="gone.pt", c=["\0", "x" * 5000], d="") == code
    checkpoint = tmp_path / "weights.pt"
    for args in ({"a": "weights.pt"}, {"a": {"b": [1, str(checkpoint)]}}):
        checkpoint.write_bytes(b"first")
        first = content(target, **args)
        checkpoint.write_bytes(b"then others")
        then = content(target, **args)
        checkpoint.write_bytes(b"first")
        assert len({code, first, then}) == 3
        assert content(target, **args) == first
    checkpoint.rename("moved.pt")
    assert content(target, a="moved.pt") == content(target, a=str(tmp_path / "moved.pt"))


def test_a_users_model_is_identified_by_the_folders_that_its_arguments_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text("def build(device, **args): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "checkpoint"
    (folder / "shards").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    os.mkfifo(folder / "pipe")  # a reader would wait forever
    seen = [content("mine_alone:build", folder=str(folder))]
    (folder / "shards" / "0.pt").write_bytes(b"0")
    seen.append(content("mine_alone:build", folder=str(folder)))
    (folder / "shards" / "0.pt").rename(folder / "shards" / "1.pt")
    seen.append(content("mine_alone:build", folder=str(folder)))
    assert len(set(seen)) == 3
    folder.rename(tmp_path / "elsewhere")
    assert content("mine_alone:build", folder=str(tmp_path / "elsewhere")) == seen[-1]


def test_two_copies_of_a_users_files_have_one_identity(
    suite_file: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text("def build(device, **args): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, content in (("a.pt", b"same"), ("b.pt", b"same"), ("c.pt", b"other")):
        (tmp_path / name).write_bytes(content)

    def args(name: str, depth: int = 1) -> dict[str, object]:
        return {"depth": depth, "files": [{"weights": str(tmp_path / name)}, "x"]}

    own = {"kind": "python", "target": "mine_alone:build"}
    given = {"A": args("a.pt"), "B": args("b.pt"), "C": args("c.pt"), "D": args("a.pt", depth=2)}
    models = {name: {**own, "args": value} for name, value in given.items()}
    suite = load_suite(suite_file(models=models, attacks=None, threats=None))
    lock, _ = resolve(suite)
    ids = {name: digest(model_identity(suite, lock, name)) for name in given}
    assert ids["A"] == ids["B"]
    assert len(set(ids.values())) == 3
    unresolved = model_identity(suite, Lock(), "A")
    assert unresolved["args"] == given["A"]


@pytest.mark.parametrize("start", ["__init__.py", "README"])  # a regular, a namespace package
def test_a_users_model_is_identified_by_its_whole_package(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / f"mine_{start[:4].strip('_').lower()}"
    (package / "inner").mkdir(parents=True)
    (package / start).touch()
    (package / "inner" / "__init__.py").touch()
    (package / "inner" / "factory.py").write_text("from ..layers import depth\n")
    (package / "layers.py").write_text("depth = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    target = f"{package.name}.inner.factory:build"
    first = content(target)
    (package / "layers.py").write_text("depth = 12\n")
    second = content(target)
    (package / "inner" / "weights.pt").write_bytes(b"weights")
    assert len({first, second, content(target)}) == 3
    assert package.name not in sys.modules  # nothing is imported
