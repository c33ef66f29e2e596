"""A malformed model of a suite: its own cells fail, and the other models are planned and run."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import run_bench
from bench import load_results
from bench.catalogue.repository_layouts import CHAT, CLIP, OPEN_CLIP
from bench.core.errors import CellError
from bench.models.transformers_loading import loading
from bench.suite.load import load_suite
from bench.suite.specs import LvlmModel

LAYOUTS = {"open_clip": OPEN_CLIP, "hugging_face": CLIP, "lvlm": CHAT}
CLIP_SIZES = {"width": 8, "layers": 1, "image_size": 32, "patch_size": 0}
CONTENTS = {
    "nested a hundred thousand times": '{"a":' * 100_000,
    "a list": "[]",
    "lists in place of mappings": json.dumps(
        {"model_cfg": [1], "vision_config": [1], "text_config": [1], "model_type": []}
    ),
    "texts in place of numbers": json.dumps(
        {
            "model_cfg": {
                "vision_cfg": dict.fromkeys(CLIP_SIZES, "8"),
                "text_cfg": {"width": "8", "layers": "1"},
            }
        }
    ),
    "patches of no pixels": json.dumps(
        {"model_cfg": {"vision_cfg": CLIP_SIZES, "text_cfg": CLIP_SIZES}}
    ),
    "a number with a thousand digits": json.dumps(
        {
            "model_cfg": {
                "vision_cfg": {**CLIP_SIZES, "width": 10**1000, "patch_size": 8},
                "text_cfg": {"width": 8, "layers": 1, "context_length": 9, "vocab_size": 9},
            }
        }
    ),
}


def folder_with(root: Path, kind: str, content: str) -> dict[str, str]:
    """Write a folder with malformed configurations; return the entry of its model."""
    folder = root / kind
    folder.mkdir()
    layout = LAYOUTS[kind]
    for names in layout.needed(lambda name: None):
        (folder / names[0]).write_text(content)
    prefix = "local-dir:" if kind == "open_clip" else ""
    return {"kind": kind, "name": f"{prefix}{folder}"}


@pytest.mark.parametrize("content", CONTENTS)
def test_malformed_configurations(
    suite_file: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    models = {
        "good": {"kind": "nano", "weights": "clip"},
        **{
            kind: folder_with(tmp_path, kind, CONTENTS[content])
            for kind in ("open_clip", "hugging_face")
        },
        "mistyped": {"kind": "hugging_face", "name": str(tmp_path / "nowhere")},
    }
    path = suite_file(models=models, attacks=None, threats=None, samples=2)
    options = [str(path), "--results", str(tmp_path / "results")]
    assert run_bench.main(["plan", *options]) == 0
    assert run_bench.main(["run", *options, "--device", "cpu"]) == 1
    assert "Traceback" not in "".join(capsys.readouterr())
    rows = load_results(tmp_path / "results" / "small").set_index("model")
    assert rows["status"].to_dict() == {
        name: "ok" if name == "good" else "failed" for name in models
    }


@pytest.mark.parametrize("content", CONTENTS)
def test_malformed_configurations_of_answering_models_are_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    entry = folder_with(tmp_path, "lvlm", CONTENTS[content])
    suite = {
        "suite": "small",
        "protocol": {"preset": "lvlm", "pixels": "native"},
        "samples": 2,
        "models": {
            "good": {"kind": "lvlm-tiny", "family": "llava"},
            "bad": {**entry, "precision": "fp32"},
            "mistyped": {**entry, "precision": "fp32", "name": "./no/where/at/all"},
        },
        "datasets": [
            {"kind": "language", "format": "embedded", "name": "digits", "of": "digits",
             "ask": "whether"}
        ],
    }  # fmt: skip
    path = tmp_path / "suite.yaml"
    path.write_text(json.dumps(suite))
    assert run_bench.main(["plan", str(path), "--results", str(tmp_path)]) == 0
    assert "bad: size not known" in capsys.readouterr().out
    assert isinstance(load_suite(path).models["bad"], LvlmModel)


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json", "config.json"])
@pytest.mark.parametrize("kind", ["gigabyte", "pipe"])
def test_what_is_too_large_or_never_ends_is_not_read(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 30)
    with pytest.raises(CellError, match=f"{name}: not a file of at most"), loading("m", tmp_path):
        raise AssertionError("transformers would have read it")
