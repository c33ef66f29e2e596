"""Every file from which a number is computed is part of its identity, and its path is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core import code_content
from bench.plan.cells import expand
from bench.plan.resolve import fingerprint, judge_weights, resolve
from bench.suite.load import load_suite
from bench.suite.specs import HuggingFaceModel, LvlmModel, TransformersJudge
from tests.support.small_hugging_face import small_clip, small_siglip
from tests.support.small_language import small_llava

Maker = Callable[..., Path]


def with_templates(folder: Path) -> None:
    small_llava(folder)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "default.jinja").write_text("{{ messages }}")


FOLDERS: dict[str, tuple[Callable[[Path], Any], Callable[[str], str]]] = {
    "clip": (
        small_clip,
        lambda name: fingerprint(HuggingFaceModel(kind="hugging_face", name=name)),
    ),
    "siglip": (
        small_siglip,
        lambda name: fingerprint(HuggingFaceModel(kind="hugging_face", name=name)),
    ),
    "llava": (with_templates, lambda name: fingerprint(LvlmModel(kind="lvlm", name=name))),
    "judge": (
        with_templates,
        lambda name: judge_weights(TransformersJudge(kind="transformers", name=name)),
    ),
}


def test_the_code_of_models_that_share_a_module_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared_module.py").write_text("FILE = 'weights.pt'\n")
    (tmp_path / "weights.pt").write_bytes(b"weights")
    (tmp_path / "head.pt").write_bytes(b"head")
    target = "{kind: python, target: 'shared_module:make', args: "
    (tmp_path / "suite.yaml").write_text(
        "suite: shared\nprotocol: {preset: radapt-paper, pixels: native}\nsamples: 4\n"
        f"models:\n  a: {target}{{head: head.pt}}}}\n  b: {target}{{head: none}}}}\n"
        f"  c: {target}{{head: head.pt}}}}\ndatasets: [digits]\n"
    )
    suite = load_suite(tmp_path / "suite.yaml")
    read: list[object] = []
    real = code_content.named_in_code

    def named_in_code(*arguments: Any) -> Any:
        read.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(code_content, "named_in_code", named_in_code)
    lock, problems = resolve(suite)
    assert not problems
    assert len(read) == 1
    assert lock.models == {name: fingerprint(spec) for name, spec in suite.models.items()}
    assert len(read) == 4  # nothing is kept after `resolve`, since files may change
    assert lock.models["a"] == lock.models["c"] != lock.models["b"]
    (tmp_path / "weights.pt").write_bytes(b"other")
    assert resolve(suite)[0].models["b"] != lock.models["b"]


@pytest.mark.parametrize("kind", FOLDERS)
def test_every_file_of_a_folder_of_transformers_counts(kind: str, tmp_path: Path) -> None:
    """Weights, configurations, tokenizers, processors and chat templates."""
    write, identity = FOLDERS[kind]
    folder = tmp_path / "first"
    folder.mkdir()
    write(folder)
    whole = identity(str(folder))
    seen = [whole]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        seen.append(identity(str(folder)))
        path.write_bytes(content)
    same = [path.name for path, found in zip(files, seen[1:], strict=True) if found == whole]
    assert same == []
    assert len(set(seen)) == len(files) + 1
    assert identity(str(folder.rename(tmp_path / "moved"))) == whole


@pytest.mark.parametrize(
    "name", ["classnames.txt", "zeroshot_classification_templates.txt", "test/0.tar", "anchor.pt"]
)
def test_files_of_datasets_and_anchors_count(
    name: str, dataset: Maker, suite_file: Maker, tmp_path: Path
) -> None:
    root = dataset()
    (root / "anchor.pt").write_bytes(b"anchor")
    anchor = {"anchor": {"file": str(root / "anchor.pt")}, "alpha": 1.0, "cutoff": None}
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    models["R-Adapt"] = {"kind": "radapt", "base": "CLIP", **anchor}
    entry = {"name": "mine", "kind": "webdataset", "path": str(root)}
    protocol = {"preset": "clip-benchmark", "pixels": "native"}

    def ids() -> dict[str, str]:
        path = suite_file(
            models=models, datasets=[entry], attacks=None, threats=None, protocol=protocol
        )
        suite = load_suite(path)
        lock, problems = resolve(suite)
        assert not problems
        return {cell.target: cell.id for cell in expand(suite, lock)}

    before, path = ids(), root / name
    content = path.read_bytes()
    changed = content.replace(b"thing 0", b"thing 9").replace(b"a photo of", b"an image of")
    path.write_bytes(content + b"\0" * 512 if changed == content else changed)
    after = ids()
    assert before["R-Adapt"] != after["R-Adapt"]
    assert (before["CLIP"] == after["CLIP"]) == (name == "anchor.pt")
    path.write_bytes(content)
    assert ids() == before
