"""Content of a user's model beyond its module and arguments, and content that cannot be hashed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import load_results
from bench.core import module_files
from bench.core.resolved_names import is_unhashed
from bench.plan.resolve import fingerprint
from bench.run.suite_run import run_suite
from bench.suite.load import load_suite
from bench.suite.specs import PythonModel

Maker = Callable[..., Path]
BUILD = "def build(device, **args): ...\n"


def model(target: str, **args: Any) -> PythonModel:
    return PythonModel(kind="python", target=f"{target}:build", args=args)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of modules, which is also the working folder."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_modules_that_a_model_imports_are_part_of_it(here: Path) -> None:
    """Directly, in a function, and through another module; those of libraries are not."""
    (here / "outer.py").write_text("import torch, bench\nfrom middle import part\n" + BUILD)
    (here / "middle.py").write_text("def part():\n    import inner.layers as layers\n")
    (here / "inner").mkdir()
    seen = []
    for depth in (1, 2):
        (here / "inner" / "layers.py").write_text(f"depth = {depth}\n")
        seen.append(fingerprint(model("outer")))
    (here / "middle.py").write_text("def part(): ...\n")
    seen.append(fingerprint(model("outer")))
    (here / "unused.py").write_text("x = 1\n")
    assert fingerprint(model("outer")) == seen[-1]
    assert len(set(seen)) == 3
    assert not any(map(is_unhashed, seen))


def test_of_an_installed_package_only_the_code_counts(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_files, "_INSTALLED", {os.path.realpath(here)})
    (here / "library").mkdir()
    (here / "library" / "__init__.py").write_text("import beside\n" + BUILD)
    first = fingerprint(model("library"))
    (here / "library" / "binary.so").write_bytes(b"much")
    (here / "beside.py").write_text("x = 1\n")
    assert fingerprint(model("library")) == first
    (here / "library" / "more.py").write_text("x = 1\n")
    assert fingerprint(model("library")) != first


def test_weights_that_code_names_are_part_of_a_model(here: Path) -> None:
    (here / "reads.py").write_text(BUILD + "WEIGHTS, LOG = 'sub/mine.pt', 'log.txt'\n")
    (here / "sub").mkdir()
    seen = {fingerprint(model("reads"))}
    for content in ("1", "2"):
        (here / "log.txt").write_text(content)  # the model may write it
        (here / "sub" / "mine.pt").write_text(content)
        seen.add(fingerprint(model("reads")))
    assert len(seen) == 3
    (here / "log.txt").write_text("3")
    assert fingerprint(model("reads")) in seen


def test_files_beside_the_suite_are_found_from_another_folder(
    suite_file: Maker, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "beside.py").write_text(BUILD)
    own = {"kind": "python", "target": "beside:build", "args": {"checkpoint": "mine.pt"}}
    path = suite_file(models={"M": own}, attacks=None, threats=None)
    path = path.rename(here / "suite.yaml")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    seen = set()
    for content in ("1", "2"):
        (here / "mine.pt").write_text(content)
        seen.add(fingerprint(load_suite(path).models["M"]))
    assert len(seen) == 2


def test_what_cannot_be_hashed_is_named(here: Path) -> None:
    (here / "plain.py").write_text(BUILD)
    os.mkfifo(here / "pipe")
    for name in ("linked", "outside", "inside/real"):
        (here / name).mkdir(parents=True)
    (here / "linked" / "away").symlink_to(here / "outside")
    (here / "inside" / "latest").symlink_to(here / "inside" / "real")
    for value, reason in {
        "https://host.invalid/w.pt": "args.a: it is on another machine",
        "hf-hub:someone/model": "args.a: it is on another machine",
        ".": "contains the working folder",
        "pipe": "pipe is not a regular file",
        "linked": "is a link to a folder outside of",
    }.items():
        spec = model("plain", a=value)
        assert is_unhashed(fingerprint(spec)), value
        assert reason in "; ".join(spec.unhashed())
    for value in ("inside", "file://inside", "local-dir:inside", "ViT-B/32", "a: b"):
        spec = model("plain", a=value)
        assert not is_unhashed(fingerprint(spec)), value
        assert spec.unhashed() == ()
    before = fingerprint(model("plain", a="inside"))
    (here / "inside" / "latest").unlink()
    (here / "inside" / "latest").symlink_to(here / "inside")
    assert fingerprint(model("plain", a="inside")) != before


COUNTS = """
import torch

class Model:
    logit_scale = 10.0
    def encode_image(self, images): return images.mean(dim=(2, 3)) @ torch.ones(3, 4)
    def encode_text(self, texts): return torch.eye(4)[torch.arange(len(texts)) % 4]

def build(device, address):
    open("built", "a").write("x")
    return Model()
"""


def test_cells_of_unhashed_content_are_computed_in_every_run_and_say_so(
    suite_file: Maker, here: Path
) -> None:
    (here / "remote.py").write_text(COUNTS)
    own = {"kind": "python", "target": "remote:build", "args": {"address": "s3://host/w.pt"}}
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 1}]
    models = {"Mine": own, "CLIP": {"kind": "nano", "weights": "clip"}}
    threats = ["white-box", {"transfer": "Mine"}]
    suite = load_suite(suite_file(models=models, attacks=attacks, threats=threats, samples=2))
    ids = []
    for computed in (6, 4):  # afterwards all but the cells of CLIP alone
        report = run_suite(suite, results="results", trust=True, check=False)
        assert (report.computed, report.failed) == (computed, 0)
        frame = load_results(report.folder)
        marked = frame["flags"].str.split().map(lambda flags: "unhashed" in flags)
        assert list(marked) == list((frame["model"] == "Mine") | (frame["source"] == "Mine"))
        ids.append(set(frame["cell_id"][marked]))
    assert not ids[0] & ids[1]
    assert (here / "built").read_text() == "xx"
