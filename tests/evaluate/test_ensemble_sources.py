"""Several sources attacked as one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.attacks import build_attack
from bench.attacks.ensemble_model import EnsembleModel
from bench.core.errors import SuiteError
from bench.core.resolved_names import Lock
from bench.core.types import Budget
from bench.evaluate.cell import Evaluator
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.manifest import manifest
from bench.results.tables import Scored, cells_frame
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from bench.suite.specs import AnyAttack, ApgdCe, ApgdEmbedding
from bench.trust.stored_findings import transfer_sources
from tests.attacks.test_adaptive import waves
from tests.conftest import grey_images

Write = Callable[..., Path]
CPU = torch.device("cpu")
APGD: dict[str, Any] = {"kind": "apgd-ce", "eps": ["2/255"], "steps": 8}
BOTH = [{"transfer": ["CLIP", "FARE"]}]


def test_logits_and_cosines_are_the_means() -> None:
    models, images = [waves(5), waves(6)], grey_images(5)
    models[1].model.weight = models[1].model.weight[:, :4]
    models[1].head = models[1].head[:4]
    both = EnsembleModel(models)
    expected = (models[0](images) + models[1](images)) / 2
    assert torch.allclose(both(images), expected, atol=1e-5)
    embeddings = both.embed(images)
    assert embeddings.shape == (5, both.width) == (5, 10)
    assert torch.allclose(both.classify(embeddings), expected, atol=1e-5)
    cosines = torch.stack([model.embed(images) @ model.embed(images).T for model in models])
    assert torch.allclose(embeddings @ embeddings.T, cosines.mean(dim=0), atol=1e-6)


@pytest.mark.parametrize(
    "spec",
    [
        ApgdCe(kind="apgd-ce", eps=("1",), steps=5),
        ApgdEmbedding(kind="apgd-embedding", eps=("1",), steps=5),
    ],
)
def test_the_mean_of_a_model_and_itself_is_that_model(spec: AnyAttack) -> None:
    models, images = [waves(5), waves(5)], grey_images(10)
    labels = models[0](images).argmax(dim=1)
    attack = build_attack(spec, batch=4)
    given = (images, labels, Budget(0.01))
    alone = attack(models[0], *given, mode="full", seeds=range(10))
    twice = attack(EnsembleModel(models), *given, mode="full", seeds=range(10))
    assert torch.allclose(alone, twice, atol=1e-5)


def test_an_attack_on_the_mean_fools_both_and_on_one_that_alone() -> None:
    models, images = [waves(5), waves(6)], grey_images(60)
    first, second = (model(images).argmax(dim=1) for model in models)
    images = images[agreed := first == second]
    labels, attack = (
        first[agreed],
        build_attack(ApgdCe(kind="apgd-ce", eps=("1",), steps=20), batch=60),
    )
    wrong = []
    for source in (models[0], EnsembleModel(models)):
        seeds = range(len(images))
        found = attack(source, images, labels, Budget(0.03), mode="full", seeds=seeds)
        fooled = torch.stack([model(found).argmax(dim=1) != labels for model in models])
        wrong.append(fooled.float().mean(dim=1))
    one, both = wrong
    assert float(one[0]) > 0.9
    assert float(both[1]) > float(one[1]) + 0.15


def crafts(path: Path, lock: Lock) -> set[str]:
    return {cell.craft_id for cell in expand(load_suite(path), lock) if cell.attack}


def test_identity_has_all_sources_and_one_in_a_list_is_that_one(suite_file: Write) -> None:
    lock = Lock({"CLIP": "c", "FARE": "f"})

    def ids(*sources: Any, lock: Lock = lock) -> set[str]:
        threats = [{"transfer": source} for source in sources]
        return crafts(suite_file(attacks=[APGD], threats=threats), lock)

    alone, listed, both = ids("CLIP"), ids(["CLIP"]), ids(["CLIP", "FARE"])
    assert alone == listed
    assert len(both) == 1  # scored by all targets
    assert not both & (alone | ids("FARE"))
    for name in ("CLIP", "FARE"):
        other = Lock({**lock.models, name: "other"})
        assert not both & ids(["CLIP", "FARE"], lock=other)
    suite = load_suite(suite_file(attacks=[APGD], threats=[*BOTH, {"transfer": ["CLIP"]}]))
    assert Suite.model_validate(suite.model_dump()) == suite
    assert suite.model_dump()["threats"] == ({"transfer": ("CLIP", "FARE")}, {"transfer": "CLIP"})


@pytest.mark.parametrize(
    ("threats", "expected"),
    [
        ([{"transfer": ["CLIP", "GHOST"]}], "threats.0.transfer.1: got 'GHOST'; declared models:"),
        ([{"transfer": []}], "threats.0: got {'transfer': []}; allowed: white-box, {transfer"),
        ([{"transfer": ["CLIP", "CLIP"]}], "or {transfer: [MODEL, ...]} without repeats"),
        (
            [{"transfer": "CLIP"}, {"transfer": ["CLIP"]}],
            "threats: \"{'transfer': 'CLIP'}\" appears",
        ),
    ],
)
def test_fault(suite_file: Write, threats: list[Any], expected: str) -> None:
    with pytest.raises(SuiteError) as error:
        load_suite(suite_file(attacks=[APGD], threats=threats))
    assert expected in str(error.value)


def test_the_checks_transfer_from_each_of_several_sources(suite_file: Write) -> None:
    suite = load_suite(suite_file(attacks=[APGD], threats=BOTH))
    assert transfer_sources(suite, "R-Adapt_CLIP") == ["CLIP", "FARE"]


def test_a_target_whose_gradients_a_transfer_uses_is_flagged(suite_file: Write) -> None:
    through = {**APGD, "backward": {"model": "FARE"}}
    suite = load_suite(suite_file(attacks=[through], threats=["white-box", {"transfer": "CLIP"}]))
    found = {(c.target, c.source) for c in expand(suite, Lock()) if c.same_source}
    assert found == {("CLIP", "CLIP"), ("FARE", "CLIP")}


def test_images_made_on_the_base_of_a_source_are_the_base_s_own(suite_file: Write) -> None:
    models = {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "Jpeg": {"kind": "jpeg", "base": "CLIP"},
        "Both": {"kind": "median-blur", "base": "Jpeg"},
    }
    on_base = {"kind": "pgd", "name": "base", "eps": "4/255", "steps": 2, "source": "base"}
    plain = {**on_base, "name": "plain", "source": None}
    members = [{k: each[k] for k in each if k != "eps"} for each in (plain, on_base)]
    both = {"kind": "ensemble", "name": "both", "eps": "4/255", "attacks": members}
    threats = ["white-box", {"transfer": "Jpeg"}, {"transfer": "Both"}]
    suite = load_suite(suite_file(models=models, attacks=[on_base, plain, both], threats=threats))
    found: dict[tuple[str, str], set[str]] = {}
    for cell in expand(suite, Lock()):
        if cell.attack is not None and cell.same_source:
            found.setdefault((cell.attack.label, cell.source), set()).add(cell.target)
    assert found == {
        ("base", "Jpeg"): {"CLIP"}, ("base", "Both"): {"Jpeg"},
        ("plain", "Jpeg"): {"Jpeg"}, ("plain", "Both"): {"Both"},
        ("both", "Jpeg"): {"CLIP", "Jpeg"}, ("both", "Both"): {"Jpeg", "Both"},
    }  # fmt: skip


def test_a_craft_on_two_models_is_made_once_and_scored_by_all(
    suite_file: Write, tmp_path: Path
) -> None:
    threats = ["white-box", {"transfer": "CLIP"}, *BOTH]
    suite = load_suite(suite_file(attacks=[APGD], threats=threats, samples=40))
    lock, problems = resolve(suite)
    assert not problems
    evaluate = Evaluator(suite, lock, {}, Store(tmp_path, suite.suite), CPU)
    scored = [Scored(cell, evaluate(cell)) for cell in expand(suite, lock)]
    assert all(item.result is not None and item.result.status == "ok" for item in scored)
    rows = cells_frame(suite, scored).set_index(["model", "source"])
    joint = "CLIP + FARE"
    assert rows.craft_id[:, joint].nunique() == 1
    passes = 2 * 40 * (8 + 1)  # by two models: eight steps and the last point
    assert rows.queries["CLIP", joint] == passes + 40
    assert rows.queries["FARE", joint] == 40
    assert rows["flags"][:, joint].to_dict() == {
        "CLIP": "source=target", "FARE": "source=target", "R-Adapt_CLIP": "",
    }  # fmt: skip
    board = leaderboard(board_cells(suite, scored)).set_index(["model", "source"])
    assert board["flags"]["FARE", joint] == "source=target"
    whole = [item for item in scored if item.cell.target == "FARE" and item.cell.attack]
    survives = [item.result.correct for item in whole if item.result is not None]
    assert len(survives) == 3
    assert board.worst["FARE", ""] == pytest.approx(np.logical_and.reduce(survives).mean())
    cell = next(item.cell for item in scored if item.source == joint)
    entry = manifest(suite, lock, scored)[cell.id]
    assert [weights["weights"] for weights in entry["source_weights"]] == ["clip", "fare"]
