"""`python -m radapt`, run on the embedded CLIP and its images."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from bench.data import NANO_DATA
from bench.nano.model import load_clip
from radapt import Anchor, extract_anchor
from radapt.checkpoint import load_tower
from radapt.cli.main import main
from radapt.recipe import SHIPPED, load_recipe

CLIP = "python:bench.nano.model:load_pair:clip"
FARE = "python:bench.nano.model:load_pair:fare"
IMAGES = ["--data", str(NANO_DATA / "cifar10"), "--split", "test"]
RECIPE = """\
method: {method}
steps: 3
warmup: 1
batch: 8
accumulate: 2
optimiser: adamw
lr: 1.0e-4
weight_decay: 1.0e-4
attack: {{eps: 2/255, steps: 1, step: 2/255}}
"""


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_anchor(tmp_path: Path) -> None:
    out = tmp_path / "new" / "white.safetensors"
    assert run("anchor", "--model", FARE, "--device", "cpu", "--out", out) == 0
    expected = extract_anchor(load_clip("fare").visual)
    assert torch.equal(Anchor.load(out).value, expected.value)


def test_fit_saves_an_anchor_and_its_log(tmp_path: Path) -> None:
    out = tmp_path / "plus.safetensors"
    arguments = ["--images", 16, "--batch", 8, "--epochs", 2, "--steps", 1, "--held-out", 0.5]
    arguments += ["--loss", "ce", "--eps", "2/255", "--device", "cpu", "--out", out]
    assert run("fit", "--model", CLIP, *IMAGES, *arguments) == 0
    anchor = Anchor.load(out)
    assert "fitted on 8 images (ce; static ce attack, eps 2/255" in anchor.origin
    assert not torch.equal(anchor.value, extract_anchor(load_clip("clip").visual).value)
    log = pd.read_csv(tmp_path / "plus.csv")
    assert list(log) == ["epoch", "loss", "held_out", "seconds"]
    assert list(log["epoch"]) == [1, 2]
    assert not list(tmp_path.glob("*.state"))


@pytest.mark.parametrize("method", ["fare", "tga"])
def test_finetune_from_a_recipe(method: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(method=method))
    data = NANO_DATA / "cifar10"
    shards = tmp_path / "cifar10"
    shards.mkdir()
    (shards / "train").symlink_to(data / "test")
    (shards / "val").symlink_to(data / "test")
    (shards / "classnames.txt").symlink_to(data / "classnames.txt")
    arguments = ["--model", CLIP, "--data", shards, "--evaluate", shards]
    assert run("finetune", recipe, *arguments, "--out", tmp_path / "run") == 0
    log = pd.read_csv(tmp_path / "run" / f"{method}.csv")
    assert list(log["step"]) == [3]
    assert 0.3 < log["clean"][0] <= 1
    assert log["robust"][0] < log["clean"][0]
    tower = load_clip("clip").visual
    before = tower.conv1.weight.clone()
    load_tower(tower, tmp_path / "run" / f"{method}-tower.pt")
    assert not torch.equal(tower.conv1.weight, before)


def test_analyses_write_table_and_pictures(tmp_path: Path) -> None:
    towers = ["--model", f"CLIP={CLIP}", "--against", f"FARE={FARE}", "--device", "cpu"]
    assert run("analyze", "spectrum", *towers, "--out", tmp_path / "spectrum") == 0
    few = [*IMAGES, "--images", 16]
    assert run("analyze", "cka", *towers, *few, "--out", tmp_path / "cka") == 0
    assert run("analyze", "attention", *towers, *few, "--shown", 2, "--out", tmp_path / "att") == 0
    for stem in ("spectrum", "cka", "att", "att-heads"):
        for suffix in ("csv", "png", "svg"):
            assert (tmp_path / f"{stem}.{suffix}").stat().st_size > 100
    table = pd.read_csv(tmp_path / "cka.csv")
    assert len(table) == 36
    assert table["cka"].between(-0.2, 1.01).all()


def test_curves_of_a_sweep(tmp_path: Path) -> None:
    rows = [
        {
            "model": f"R[alpha={alpha}]", "dataset": "d", "status": "ok", "n": 10,
            "attack": attack, "eps": eps, "threat": threat, "source": source,
            "value": 0.5, "ci_low": 0.4, "ci_high": 0.6,
        }
        for alpha in (0, 1)
        for attack, eps, threat, source in (
            ("clean", "", "", ""), ("apgd-ce", "4/255", "transfer", "CLIP"),
        )
    ]  # fmt: skip
    cells = tmp_path / "cells.csv"
    pd.DataFrame(rows).to_csv(cells, index=False)
    published = Path("results/published/alpha.csv")
    assert published.exists()
    extra = ["--published", published, "--out", tmp_path / "curve"]
    assert run("analyze", "curves", cells, "--over", "alpha", *extra) == 0
    table = pd.read_csv(tmp_path / "curve.csv")
    assert set(table["threat"].dropna()) == {"transfer from CLIP", "published"}
    assert run("analyze", "curves", cells, "--over", "cutoff", "--out", tmp_path / "x") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["anchor", "--model", "ViT-B-32", "--out", "x"], "names no weights; allowed is"),
        (["anchor", "--model", "nothing:none", "--out", "x"], "open_clip cannot load it"),
        (["anchor", "--model", "python:no.such:f", "--out", "x"], "No module named"),
        (["finetune", "fare9", "--model", CLIP, "--data", "x", "--out", "x"], "fare2, fare4, tec"),
        (["fit", "--model", CLIP, "--data", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["fit", "--model", CLIP, *IMAGES, "--alpha", "0", "--out", "x"], "alpha: got 0"),
    ],
)
def test_a_wrong_call_is_one_message(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown


def test_recipes(tmp_path: Path) -> None:
    for path in SHIPPED.glob("*.yaml"):
        assert load_recipe(path.stem).method in path.stem
    fare = load_recipe("fare4")
    assert fare.attack.eps == pytest.approx(4 / 255)
    assert (fare.steps, fare.warmup, fare.batch) == (20_000, 1400, 128)
    bad = tmp_path / "bad.yaml"
    bad.write_text(RECIPE.format(method="fair") + "lrr: 1\ntemplate: no place\n")
    with pytest.raises(ValueError, match=r"bad\.yaml: 3 fault.*\n.*method.*\n.*template") as caught:
        load_recipe(str(bad))
    assert "lrr" in str(caught.value)


@pytest.mark.parametrize("command", ["anchor", "fit", "finetune", "analyze"])
def test_help_shows_an_example(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "radapt", command, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "example:" in done.stdout
    assert "-m radapt" in done.stdout
