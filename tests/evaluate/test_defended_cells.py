"""Cells of models behind test-time defences."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from bench.core.errors import CellError
from bench.core.types import CellResult
from bench.data.tensors import Images
from bench.evaluate.cell import Evaluator
from bench.evaluate.loading import Loading
from bench.evaluate.text_vectors import TextVectors
from bench.models import DefendedModel, build_model
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.suite.load import load_suite
from bench.suite.metrics import RETRIEVAL
from bench.suite.specs import PRESETS, NanoModel
from radapt.defences.anti_adversary import AntiAdversary
from radapt.defences.gaussian_blur import GaussianBlur

Write = Callable[..., Path]
MODELS: Mapping[str, Any] = {
    "CLIP": {"kind": "nano", "weights": "clip"},
    "TTC": {"kind": "ttc", "base": "CLIP"},
    "blur": {"kind": "gaussian-blur", "base": "CLIP"},
    "gated": {"kind": "ttc", "base": "CLIP", "gate": "blur"},
    "gate-of-classes": {"kind": "ttc", "base": "CLIP", "gate": "anti"},
    "anti": {"kind": "anti-adversary", "base": "blur", "step": 0.02},
    "CLIPure": {"kind": "clipure-cos", "base": "CLIP"},
    "tuned": {"kind": "r-tpt", "base": "blur", "views": 4, "selected": 0.5, "neighbours": 2},
    "over": {"kind": "jpeg", "base": "tuned"},
    "below": {"kind": "r-tpt", "base": "anti"},
}
STAND_INS: Sequence[Any] = [
    {"kind": "apgd-ce", "eps": "4/255", "steps": 2, "name": "no-defence", "precision": "bf16",
     "backward": {"without": "defence"}},
    {"kind": "ensemble", "eps": "4/255", "name": "both", "attacks": [
        {"kind": "apgd-ce", "steps": 2, "eot": 2},
        {"kind": "apgd-ce", "steps": 2, "name": "through", "backward": {"without": "unrolling"}},
    ]},
]  # fmt: skip


def test_cells_of_defended_models(suite_file: Write, tmp_path: Path) -> None:
    suite = load_suite(
        suite_file(
            models=MODELS, datasets=["cifar10"], samples=4, attacks=STAND_INS, threats=["white-box"]
        )
    )
    lock, problems = resolve(suite)
    assert not problems
    cells = expand(suite, lock)

    def evaluated(order: Sequence[Cell], name: str) -> dict[tuple[str, str], CellResult]:
        store = Store(tmp_path / name, suite.suite)
        evaluate = Evaluator(suite, lock, {}, store, torch.device("cpu"))
        return {(c.target, c.attack.label if c.attack else "clean"): evaluate(c) for c in order}

    found = evaluated(cells, "first")
    assert len(found) == len(MODELS) * 3
    for (model, attack), result in found.items():
        if (model, attack) == ("CLIP", "no-defence"):
            assert (result.status, result.reason) == (
                "skip",
                "no-defence removes the test-time defence, which a source model does not have",
            )
            continue
        if model == "over":
            assert result.reason == "jpeg over 'tuned': allowed: models that embed images"
            continue
        if model == "below":
            assert result.reason == "r-tpt over 'anti': allowed: defences that need no classes"
            continue
        if model == "gate-of-classes":
            assert result.reason == "ttc with gate 'anti': allowed: defences that need no classes"
            continue
        assert result.status == "ok", result.reason
        missing = attack == "both" and model in ("CLIP", "CLIPure")
        assert ("without=through" in result.flags) == missing
    assert found["TTC", "clean"].provenance["defence"] == "random, gradient: exact"

    # random numbers of a cell do not depend on the cells before it
    again = evaluated([cell for cell in reversed(cells) if cell.target == "TTC"], "second")
    for key, result in again.items():
        assert result.correct.tolist() == found[key].correct.tolist()
        assert result.distance.tolist() == found[key].distance.tolist()


class Erring:
    """The embedded CLIP; in each pass it gives some images the class that fits them least."""

    def __init__(self, device: torch.device) -> None:
        spec = NanoModel(kind="nano", weights="clip")
        self.clip = build_model(spec, device, lambda name: self.clip)
        self.logit_scale, self.encode_text = self.clip.logit_scale, self.clip.encode_text

    def encode_image(self, images: Tensor) -> Tensor:
        embeddings = self.clip.encode_image(images)
        return torch.where(torch.rand(len(images), 1) < 0.3, -embeddings, embeddings)


def test_random_models_are_scored_by_a_pass_that_no_attack_chose(
    suite_file: Write, tmp_path: Path
) -> None:
    members = [
        {"kind": "apgd-ce", "steps": 1},
        {"kind": "apgd-ce", "steps": 1, "name": "transfer", "source": "base"},
        {"kind": "pyautoattack", "attack": "square", "queries": 1},
    ]
    suite = load_suite(
        suite_file(
            models={
                "CLIP": MODELS["CLIP"],
                "erring": {"kind": "python", "target": f"{__name__}:Erring", "eot": 2},
                "pad": {"kind": "resize-pad", "base": "CLIP", "eot": 2},
            },
            datasets=["cifar10"], samples=40, threats=["white-box"],
            attacks=[
                {"kind": "ensemble", "name": "all", "eps": 1e-6, "eot": "model",
                 "attacks": members},
                {**members[1], "eps": "16/255", "steps": 3},
                {"kind": "pgd", "source": "base", "eps": "16/255", "steps": 3},
            ],
        )
    )  # fmt: skip
    lock, _ = resolve(suite)
    store = Store(tmp_path, suite.suite)
    evaluate = Evaluator(suite, lock, {}, store, torch.device("cpu"), trust=True)
    found = {(c.target, c.attack and c.attack.label): evaluate(c) for c in expand(suite, lock)}
    assert found["CLIP", "transfer"].reason == (
        "transfer attacks the base of a model, which a source does not have"
    )
    assert [found[model, "all"].flags for model in ("CLIP", "erring", "pad")] == [
        ("without=transfer",), ("eot=2", "without=transfer", "randomized"), ("eot=2", "randomized"),
    ]  # fmt: skip
    for attack in ("transfer", "pgd"):
        clean, transferred = found["pad", None], found["pad", attack]
        assert transferred.correct.sum() < clean.correct.sum() - 5
        assert transferred.distance.min() > 0.9 * 16 / 255  # all steps, whatever the base says
    # at a radius of nothing, errors by chance count as often as without an attack
    right = found["CLIP", None].correct.sum()
    assert abs(found["erring", "all"].correct.sum() - 0.7 * right) < 3.5 * (0.21 * right) ** 0.5


def test_a_defence_that_needs_classes_says_so_for_captions() -> None:
    clip: Any = SimpleNamespace(logit_scale=1.0, encode_image=None, encode_text=None)
    nested = DefendedModel(DefendedModel(clip, AntiAdversary(), None), GaussianBlur(), None)
    loading = Loading({}, None, torch.device("cpu"))
    vectors, captions = TextVectors(PRESETS["radapt-paper"], loading), cast(Images, None)
    with pytest.raises(CellError, match="needs classes; this dataset has captions"):
        vectors.told_to(nested, captions, RETRIEVAL.name)
    plain = DefendedModel(clip, GaussianBlur(), None)
    assert vectors.told_to(plain, captions, RETRIEVAL.name) is plain
