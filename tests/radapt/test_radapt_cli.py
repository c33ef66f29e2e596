"""`python -m radapt`, run on the embedded CLIP and its images."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from bench.data import NANO_DATA
from bench.nano.nano_clip import load_clip
from radapt import Anchor, extract_anchor, fit_anchor
from radapt.cli import analyze, fit
from radapt.cli.main import main
from radapt.fit_task import FitOptions
from radapt.images import open_images
from radapt.recipe import SHIPPED, load_recipe
from radapt.state_dicts import load_tower

CLIP = "python:bench.nano.nano_clip:load_pair:clip"
FARE = "python:bench.nano.nano_clip:load_pair:fare"
DOCS = Path(__file__).parents[2] / "docs"
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


def test_fit_for_another_mix_and_no_filter(tmp_path: Path) -> None:
    few = ["--images", 8, "--batch", 8, "--epochs", 1, "--steps", 1, "--device", "cpu"]
    out = tmp_path / "add.safetensors"
    how = ["--mix", "add", "--cutoff", "none", "--alpha", "0.5"]
    assert run("fit", "--model", CLIP, *IMAGES, *few, *how, "--out", out) == 0
    fitted = Anchor.load(out)
    assert fitted.origin.startswith("for alpha 0.5, cutoff none, mix add: fitted on 8 images")
    tower = load_clip("clip").visual
    images, _ = open_images(NANO_DATA / "cifar10", (32, 32), "test").take(8, 0)
    options = FitOptions(batch=8, epochs=1, steps=1)
    start = extract_anchor(tower)
    values = [
        fit_anchor(
            tower, images, start=start, alpha=0.5, cutoff=cutoff, mix=mix, options=options
        ).value
        for mix, cutoff in (("add", None), ("add", 40), ("interpolate", None))
    ]
    same = [torch.allclose(fitted.value, value, atol=1e-5) for value in values]
    assert same == [True, False, False]


def test_a_cutoff_is_a_number_or_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("fit", "--model", CLIP, *IMAGES, "--cutoff", "off", "--out", "x")
    message = "argument --cutoff: got 'off'; allowed: a number, or none"
    assert message in capsys.readouterr().err


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
    published = ["--published", "results/published/cka.csv"]
    assert run("analyze", "cka", *towers, *few, *published, "--out", tmp_path / "cka") == 0
    assert run("analyze", "attention", *towers, *few, "--shown", 2, "--out", tmp_path / "att") == 0
    for stem in ("spectrum", "cka", "att", "att-heads"):
        for suffix in ("csv", "png", "svg"):
            assert (tmp_path / f"{stem}.{suffix}").stat().st_size > 100
    table = pd.read_csv(tmp_path / "cka.csv")
    assert table["source"].value_counts().to_dict() == {"measured": 36, "published": 32}
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


def test_ablation_beside_the_published_one(tmp_path: Path) -> None:
    rows = [
        {
            "model": model, "dataset": "d", "status": "ok", "n": 10, "attack": attack, "eps": eps,
            "threat": threat, "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "source": "",
        }
        for model in ("CLIP", "FRA+GIF")
        for attack, eps, threat in (("clean", "", ""), ("apgd-ce", "4/255", "white-box"))
    ]  # fmt: skip
    cells = tmp_path / "cells.csv"
    pd.DataFrame(rows).to_csv(cells, index=False)
    out = ["--out", tmp_path / "bars"]
    tables = ["--published", "results/published/radapt.csv"]
    assert run("analyze", "ablation", cells, *tables, *out) == 0
    table = pd.read_csv(tmp_path / "bars.csv")
    assert list(table["series"][:4]) == ["CLIP", "FRA+GIF"] * 2
    assert set(table.loc[table["threat"] == "published", "series"]) == {
        "CLIP", "FRA", "GIF", "FRA+GIF",
    }  # fmt: skip
    sweep = ["--published", "results/published/alpha.csv"]
    assert run("analyze", "ablation", cells, *sweep, *out) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["anchor", "--model", "ViT-B-32", "--out", "x"], "gives no PRETRAINED; allowed is"),
        (["anchor", "--model", "nothing:none", "--out", "x"], "open_clip has no model 'nothing'"),
        (
            ["anchor", "--model", "ViT-L-14:openai", "--out", "x"],
            "ViT-L-14: the weights 'openai' were trained with QuickGELU, which ViT-L-14 lacks in "
            "today's open_clip; allowed: ViT-L-14-quickgelu",
        ),
        (["anchor", "--model", "python:no.such:f", "--out", "x"], "No module named"),
        (["finetune", "fare9", "--model", CLIP, "--data", "x", "--out", "x"], "fare2, fare4, tec"),
        (["fit", "--model", CLIP, "--data", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["fit", "--model", CLIP, *IMAGES, "--out", "x"], "images: got 2000; allowed: 1 to 500"),
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


def commands(text: str) -> list[list[str]]:
    """Return the words of each `python -m radapt` and `run_bench.py` in a text."""
    joined = text.replace("\\\n", " ").replace("$NANO", "python:bench.nano.nano_clip:load_pair")
    lines = (line.removeprefix("python ").split() for line in joined.splitlines())
    return [line for line in lines if line[:2] == ["-m", "radapt"] or line[:1] == ["run_bench.py"]]


def committed() -> list[list[str]]:
    """Return what docs/analyses/commands.sh runs."""
    script = ["sh", str(DOCS / "analyses" / "commands.sh"), "towers", "sweeps", "fit"]
    run = subprocess.run(
        script, env={**os.environ, "PYTHON": "echo"}, capture_output=True, text=True, check=True
    )
    return commands(run.stdout)


def test_the_script_of_the_analyses_has_the_commands_that_the_docs_show() -> None:
    shown = commands((DOCS / "analyses.md").read_text())
    assert len(shown) == 11
    assert [command for command in shown if command not in committed()] == []
    drawn = {words[-1] for words in committed()}
    pictures = {f"docs/analyses/{picture.stem}" for picture in DOCS.glob("analyses/*.png")}
    assert pictures - {"docs/analyses/attention-heads"} <= drawn


def test_the_script_of_the_analyses_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command parses, and each suite and each of its anchors is there or made before."""
    parsed = []
    for module, names in (
        (analyze, ("cka", "spectrum", "attention", "curves", "ablation")),
        (fit, ("run",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, parsed.append)
    made: set[str] = set()
    for words in committed():
        if words[0] == "run_bench.py":
            anchors = re.findall(r"file: ([^}\s]+)", Path(words[1]).read_text())
            assert all(path in made or Path(path).exists() for path in anchors), words[1]
        else:
            assert main(words[2:]) == 0
            made.add(words[-1])
    assert len(parsed) == 7 + 11


@pytest.mark.parametrize("command", ["anchor", "fit", "finetune", "analyze"])
def test_help_shows_an_example(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "radapt", command, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "example:" in done.stdout
    assert "-m radapt" in done.stdout
