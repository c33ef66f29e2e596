"""`doctor --model`: a model of the catalogue is loaded and tried, and its line printed."""

import hashlib
from pathlib import Path

import pytest
import yaml

import run_bench
from bench.catalogue import model_facts
from bench.catalogue.model_facts import ModelFacts, known_models
from bench.nano import nano_clip

WEIGHTS = Path(nano_clip.__file__).parent / "weights" / "clip.safetensors"


def test_the_line_goes_into_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_bench.main(["doctor", "--model", "nano-clip"]) == 0
    said = capsys.readouterr().out
    found = yaml.safe_load(said.partition("\n")[2])["verified"]
    assert found["sha256"]["clip.safetensors"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert found["cifar10"] > 0.5
    assert set(found["libraries"]) == {"torch", "open_clip_torch"}
    assert ModelFacts("a model", verified=found).state == found["date"]


def test_a_model_that_cannot_be_confirmed_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def told(name: str) -> tuple[int, str]:
        code = run_bench.main(["doctor", "--model", name])
        return code, "".join(capsys.readouterr())

    code, said = told("nano-clop")
    assert (code, said.strip()) == (
        2,
        "--model: got 'nano-clop'; allowed: a name that `run_bench.py list models` prints; did "
        "you mean 'nano-clip'?",
    )
    assert run_bench.main(["doctor", "suite.yaml", "--model", "nano-clip"]) == 2
    assert "--model: got a suite as well" in capsys.readouterr().err
    code, said = told("advxl-h14")
    assert code == 2
    assert known_models()["advxl-h14"].refused in said
    wrong = ModelFacts("a file", {**(known_models()["tga-b32"].model or {}), "pretrained": "no.pt"})
    monkeypatch.setitem(model_facts.known_models(), "wrong", wrong)
    code, said = told("wrong")
    assert code == 1
    assert said.startswith("bad   models.wrong: ")


def test_a_model_that_classifies_at_random_gets_no_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.commands.confirm_model._LEAST", 0.9)
    assert run_bench.main(["doctor", "--model", "nano-clip"]) == 1
    assert "of the embedded cifar10 images are right; at least 90%" in capsys.readouterr().out


def test_the_list_of_models_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_bench.main(["list", "models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(known_models())
