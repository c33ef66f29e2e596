"""The shipped suite of tiny models: whole, but smaller; and what its attacks do to each image."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from bench.attacks import build_attack
from bench.core.types import Budget
from bench.data import index_dataset, load_questions
from bench.models import LanguageModel, build_model
from bench.run.suite_run import run_suite
from bench.suite.load import Suite, load_suite
from bench.suite.specs import ApgdText, ApgdTextTargeted, LanguageDataset, TinyModel
from bench.tasks.prompted_models import Prompted
from tests.commands.test_cli import ROOT

SUITE = ROOT / "suites" / "lvlm_quickstart.yaml"
NOTE = "random weights: proves the path, no benchmark"
CPU = torch.device("cpu")


def refused(name: str) -> LanguageModel:
    raise AssertionError(name)


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_the_attacks_get_their_way_with_every_image(family: str) -> None:
    spec = TinyModel.model_validate({"kind": "lvlm-tiny", "family": family})
    model = build_model(spec, CPU, refused)
    assert isinstance(model, LanguageModel)
    dataset = LanguageDataset(
        kind="language", format="embedded", name="d", of="cifar10", ask="whether"
    )
    ids = index_dataset(dataset, 8, 0).sample_ids
    found = load_questions(dataset, ids, "native")
    images, rows = torch.from_numpy(found.images).float() / 255, torch.arange(8)
    said = model.answer(images, [each.prompt for each in found.questions], tokens=1)
    assert set(said) == {"yes", "no"}
    steps = {"eps": "4/255", "steps": 5}
    for attack, texts in (
        (ApgdText(kind="apgd-text", **steps), [each.answers[0] for each in found.questions]),
        (
            ApgdTextTargeted(kind="apgd-text-targeted", **steps),
            [each.decoy for each in found.questions],
        ),
    ):
        prompts = [each.prompt for each in found.questions]
        asked = Prompted(model, dict(enumerate(zip(prompts, texts, strict=True))))
        points = build_attack(attack, batch=8, answers=True)(
            asked, images, rows, Budget(4 / 255), mode="full", seeds=range(8)
        )
        with torch.no_grad():
            gain = asked.likelihood(points, rows) - asked.likelihood(images, rows)
        rises = isinstance(attack, ApgdTextTargeted)
        assert bool((gain > 0).all() if rises else (gain < 0).all())


def test_a_run_ends_in_all_files_and_says_that_it_is_no_benchmark(tmp_path: Path) -> None:
    whole = load_suite(SUITE)
    assert whole.note == NOTE
    suite = whole.model_copy(
        update={
            "samples": 6,
            "datasets": whole.datasets[:1],
            "attacks": (
                whole.attacks[0].model_copy(update={"eps": ("4/255",), "steps": 3}),
                whole.attacks[1].model_copy(update={"steps": 2}),
            ),
        }
    )
    report = run_suite(suite, results=tmp_path)
    assert (report.cells, report.failed) == (4 * (1 + 2 * 2), 0)
    cells = pd.read_csv(report.folder / "cells.csv")
    assert set(cells["status"]) == {"ok"}
    assert set(cells["metric"]) == {"yes_no_accuracy"}
    white = cells[cells["threat"] == "white-box"].groupby("model")["value"].min()
    clean = cells[cells["attack"] == "clean"].set_index("model")["value"]
    white = white[clean.index]
    assert bool((white <= clean).all())
    assert bool((white < clean).any())
    targeted = cells[cells["attack"] == "apgd-text-targeted"]
    assert targeted["flags"].str.contains("reached=").all()
    assert NOTE in (report.folder / "leaderboard.html").read_text()
    entries = json.loads((report.folder / "manifest.json").read_text())
    assert {entry["note"] for entry in entries.values()} == {NOTE}
    assert all("transformers" in entry["ran_on"] for entry in entries.values())
    assert {entry["answer_tokens"] for entry in entries.values()} == {1}
    assert set(report.board["model"]) == set(suite.models)
    assert run_suite(suite, results=tmp_path).computed == 0


def test_gradients_may_go_through_r_adapt_without_its_parts(tmp_path: Path) -> None:
    whole = load_suite(SUITE)
    plain = {"kind": "apgd-text", "eps": "4/255", "steps": 2}
    adapted = {**plain, "name": "base", "backward": {"without": ["filter", "anchor"]}}
    band = {**plain, "name": "band", "filter": {"cutoff": 40}}
    raw = whole.model_dump(exclude={"attacks", "threats", "samples"})
    raw["models"] = {name: raw["models"][name] for name in ("LLaVA", "R-Adapt_LLaVA")}
    raw["datasets"] = raw["datasets"][:1]
    given = {"attacks": [plain, adapted, band], "threats": ["white-box"], "samples": 4}
    report = run_suite(Suite.model_validate({**raw, **given}), results=tmp_path)
    cells = pd.read_csv(report.folder / "cells.csv", keep_default_na=False)
    status = cells.set_index(["model", "attack"])["status"]
    assert status["LLaVA", "base"] == "skip"  # it has no such parts
    assert set(status.drop(("LLaVA", "base"))) == {"ok"}
