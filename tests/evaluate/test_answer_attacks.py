"""Attacks on what a model says: the engine's loss, the stages, what they leave, and the cells."""

import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import TextLikelihood
from bench.attacks.pgd import PgdAscent
from bench.attacks.query_counter import QueryCounter
from bench.core.deadline import Deadline
from bench.core.errors import CellError, SuiteError
from bench.core.language_types import Question
from bench.core.resolved_names import Lock
from bench.core.types import Budget, CellResult
from bench.data.tensors import Images
from bench.evaluate.answer_attacks import attack_answers, plan_stages
from bench.evaluate.attack_stages import Stage
from bench.evaluate.cell import Evaluator
from bench.evaluate.craft import Case
from bench.evaluate.model_cache import ModelCache
from bench.evaluate.score import ScoredAnswers
from bench.evaluate.tally import Tally, new_tally
from bench.models.batch_size import Batch
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.results.attack_summary import settings
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from bench.suite.specs import (
    AnyAttack,
    ApgdEmbedding,
    ApgdText,
    ApgdTextTargeted,
    Ensemble,
    MiFgsm,
    Pgd,
)
from bench.tasks.answer_targets import attack_texts, contains_target, references
from bench.tasks.prompted_models import PromptedModel
from tests.support.clock import Clock
from tests.support.small_speaker import WORDS, Speaker

CPU = torch.device("cpu")
BUDGET = Budget(8 / 255)
CRAFT = "bench.evaluate.attack_stages.craft"  # where stages call it
OWN = {"kind": "python", "target": "tests.support.small_speaker:Speaker", "answers": True}
WHAT = {"kind": "language", "format": "embedded", "of": "cifar10", "ask": "what", "name": "what"}
ATTACKS: list[AnyAttack] = [
    ApgdText(kind="apgd-text", eps="8/255", steps=8),
    ApgdText(kind="apgd-text", eps="8/255", steps=8, restarts=2, eot=2),
    ApgdTextTargeted(kind="apgd-text-targeted", eps="8/255", steps=8, target="maybe"),
    Pgd(kind="pgd", eps="8/255", steps=8),
    MiFgsm(kind="mi-fgsm", eps="8/255", steps=8),
]


def asked(count: int = 12) -> tuple[PromptedModel, Tensor, Tensor]:
    texts = {row: ("what is it?", WORDS[row % 10]) for row in range(count)}
    images = torch.rand((count, 3, 16, 16), generator=torch.Generator().manual_seed(3))
    return PromptedModel(Speaker(CPU), texts), images, torch.arange(count)


@pytest.mark.parametrize("spec", ATTACKS, ids=lambda spec: f"{spec.label}-{spec.gradients}")
def test_an_attack_gets_its_way_with_every_image(spec: AnyAttack) -> None:
    model, images, rows = asked()
    if isinstance(spec, ApgdTextTargeted):
        model = PromptedModel(model.model, {row: ("what is it?", "maybe") for row in model.asked})
    found = build_attack(spec, batch=5, answers=True)(
        model, images, rows, BUDGET, mode="full", seeds=range(12)
    )
    assert float((found - images).abs().max()) <= BUDGET.eps + 1e-6
    before, after = model.likelihood(images, rows), model.likelihood(found, rows)
    rises = isinstance(spec, ApgdTextTargeted)
    assert bool((after > before + 0.1 if rises else after < before - 0.1).all())


@pytest.mark.parametrize("spec", ATTACKS[:3], ids=["plain", "restarts", "targeted"])
def test_neighbours_in_a_batch_change_nothing(spec: AnyAttack) -> None:
    model, images, rows = asked()
    attack = build_attack(spec, batch=12, answers=True)
    given = attack(model, images, rows, BUDGET, mode="full", seeds=range(12))
    turned = torch.arange(11, -1, -1)
    narrow = build_attack(spec, batch=Batch(5), answers=True)(
        model, images[turned], rows[turned], BUDGET, mode="full", seeds=range(11, -1, -1)
    )
    assert torch.allclose(model.likelihood(given, rows), model.likelihood(narrow[turned], rows))
    assert float((given - narrow[turned]).abs().max()) < 1e-5


def test_memory_that_ends_halves_the_batch_and_passes_are_counted() -> None:
    model, images, rows = asked()
    inner = model.model.log_likelihood

    def cramped(images: Tensor, *given: Any) -> Tensor:
        if len(images) > 4:
            raise MemoryError
        return inner(images, *given)

    model.model.log_likelihood = cramped  # type: ignore[method-assign]
    counted, batch = QueryCounter(model, Deadline(None)), Batch(12)
    attack = NativeAttack(PgdAscent(3, 1.0, False), TextLikelihood(), batch)
    attack(counted, images, rows, BUDGET, mode="full", seeds=range(12))
    assert batch.size == 3
    assert (counted.forwards, counted.backwards) == (12 * 4, 12 * 3)


def test_an_attack_may_begin_where_another_ended() -> None:
    model, images, rows = asked(2)
    starts = (images + 0.01).clamp(0, 1)
    still = NativeAttack(PgdAscent(1, 0.0, True), TextLikelihood(), 2)
    given = (model, images, rows, BUDGET)
    assert torch.equal(still(*given, mode="full", seeds=[0, 1], starts=starts), starts)
    assert not torch.equal(still(*given, mode="full", seeds=[0, 1]), starts)


def test_references_are_captions_in_order_and_answers_by_how_many_gave_them() -> None:
    question = Question("?", ("b", "a", "c", "a"), ("name",))
    assert references(question, "cider") == ("b", "a", "c")
    assert references(question, "vqa_accuracy") == ("a", "b", "c")
    assert references(replace(question, answers=()), "names_object") == ("name",)


def test_stages_are_all_texts_at_low_precision_and_then_the_best_of_them() -> None:
    text = ApgdText(kind="apgd-text", eps="8/255", references=2)
    assert list(plan_stages(text, ("bf16", "fp32"))) == [
        Stage("bf16", 0), Stage("bf16", 1), Stage("fp32", None)
    ]  # fmt: skip
    assert list(plan_stages(text, ("fp32",))) == [Stage("fp32", 0), Stage("fp32", 1)]
    targeted = ApgdTextTargeted(kind="apgd-text-targeted", eps="8/255")
    assert list(plan_stages(targeted, ("bf16", "fp32"))) == [Stage("fp32", 0)]


class Script:
    """Stands in for crafting and answering: what each image scores, stage by stage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scores: Sequence[dict[int, float]]) -> None:
        self.scores = [*scores]
        self.calls: list[tuple[list[int], str, list[str], Tensor | None]] = []
        monkeypatch.setattr(CRAFT, self.craft)
        monkeypatch.setattr("bench.evaluate.answer_attacks.answer_images", self.answer_images)

    def craft(
        self, case: Case, attack: AnyAttack, rows: Tensor, precision: str, tally: Tally,
        *, texts: list[str], starts: Tensor | None,
    ) -> Tensor:  # fmt: skip
        self.calls.append((rows.tolist(), precision, texts, starts))
        return case.images.floats(rows) + len(self.calls) / 1000

    def answer_images(
        self, case: Case, rows: Tensor, points: Tensor, tally: Tally
    ) -> ScoredAnswers:
        now = self.scores.pop(0)
        texts = tuple(f"{row}: {now[row]:g}" for row in rows.tolist())
        return ScoredAnswers(texts, np.array([now[row] for row in rows.tolist()], np.float32))


def case_of(attack: AnyAttack, answers: Sequence[tuple[str, ...]], metric: str = "cider") -> Case:
    questions = tuple(Question("?", own, decoy="decoy") for own in answers)
    pixels = torch.full((len(answers), 3, 4, 4), 100, dtype=torch.uint8)
    ids = tuple("abcdef"[: len(answers)])
    images = Images(ids, pixels, torch.arange(len(ids)), (), (), questions=questions)
    cell = Cell("c", "k", "M", "d", attack, "8/255", None, 0, metric=metric)
    return Case(cell, None, images)  # type: ignore[arg-type]


def test_each_stage_sees_what_the_earlier_ones_left_and_the_lowest_score_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attack = ApgdText(kind="apgd-text", eps="8/255", references=2, precision="bf16", threshold=0.1)
    case = case_of(attack, [("a0", "a1"), ("b0", "b1"), ("c0",), ("d0", "d1")])
    script = Script(
        monkeypatch,
        [
            {0: 1.0, 1: 0.9, 2: 0.8, 3: 0.1},  # clean: the last has nothing left to lose
            {0: 0.7, 1: 0.05, 2: 0.9},  # the first reference ends b, and does c good
            {0: 0.5},  # c has no second one
            {0: 0.6, 2: 0.3},  # single precision from the best points
        ],
    )
    tally = new_tally(case.images.sample_ids)
    attack_answers(case, attack, "float16", tally)
    rows = [(rows, precision, texts) for rows, precision, texts, _ in script.calls]
    assert rows == [
        ([0, 1, 2], "bf16", ["a0", "b0", "c0"]),
        ([0], "bf16", ["a1"]),
        ([0, 2], "fp32", ["a1", "c0"]),
    ]
    starts = script.calls[2][3]
    assert starts is not None
    clean = case.images.floats(torch.tensor([0, 2]))
    assert torch.allclose(starts, clean + torch.tensor([0.002, 0.001])[:, None, None, None])
    assert tally.scores is not None
    assert tally.scores.tolist() == pytest.approx([0.5, 0.05, 0.3, 0.1])
    assert tally.texts == ["0: 0.5", "1: 0.05", "2: 0.3", "3: 0.1"]
    assert tally.distance.tolist() == pytest.approx([0.002, 0.001, 0.003, 0.0], abs=1e-6)
    assert tally.correct.all()


def test_members_of_an_ensemble_attack_what_is_left_and_begin_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = [{"kind": "apgd-text"}, {"kind": "apgd-text-targeted", "target": "maybe"}]
    ensemble = Ensemble.model_validate(
        {"kind": "ensemble", "eps": "8/255", "precision": "bf16", "attacks": members}
    )
    case = case_of(ensemble, [("yes",), ("no",)], "vqa_accuracy")
    script = Script(monkeypatch, [{0: 1, 1: 1}, {0: 0, 1: 1}, {1: 0.6}, {1: 0}])
    tally = new_tally(case.images.sample_ids)
    attack_answers(case, ensemble, "float16", tally)
    told = [(precision, texts, starts is None) for _, precision, texts, starts in script.calls]
    assert told == [
        ("bf16", ["yes", "no"], True), ("fp32", ["no"], False), ("fp32", ["maybe"], True)
    ]  # fmt: skip
    assert not tally.correct.any()


def test_a_target_is_sought_whatever_the_score_and_the_lowest_score_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attack = ApgdTextTargeted(
        kind="apgd-text-targeted", eps="8/255", target="0.5", precision="bf16"
    )
    case = case_of(attack, [("a",), ("b",), ("c",), ("d",)])
    # what is said has the score in it, which is the target where it is 0.5
    script = Script(monkeypatch, [{0: 0.25, 1: 0.9, 2: 0.5, 3: 0.9}, {0: 0.5, 1: 0.95, 3: 0.5}])
    tally = new_tally(case.images.sample_ids)
    attack_answers(case, attack, "float16", tally)
    assert script.calls[0][:2] == ([0, 1, 3], "fp32")  # but none that was reached already
    assert tally.scores is not None and tally.reached is not None
    assert tally.scores.tolist() == pytest.approx([0.25, 0.9, 0.5, 0.5])
    assert tally.texts == ["0: 0.25", "1: 0.9", "2: 0.5", "3: 0.5"]
    assert tally.reached.tolist() == [True, False, True, True]
    assert tally.distance.tolist() == pytest.approx([0, 0, 0, 0.001], abs=1e-6)


def test_of_answers_that_score_alike_the_one_with_the_target_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attack = ApgdTextTargeted(kind="apgd-text-targeted", eps="8/255", target="maybe")
    case = case_of(attack, [("a",), ("b",)])
    said = iter([("wrong", "wrong"), ("maybe", "false")])
    monkeypatch.setattr(CRAFT, lambda case, attack, rows, *given, **more: (
        case.images.floats(rows)
    ))  # fmt: skip
    monkeypatch.setattr("bench.evaluate.answer_attacks.answer_images", lambda case, rows, *given: (
        ScoredAnswers(next(said), np.zeros(len(rows), np.float32))
    ))  # fmt: skip
    tally = new_tally(case.images.sample_ids)
    attack_answers(case, attack, "float16", tally)
    assert tally.texts == ["maybe", "wrong"]


Maker = Callable[..., Suite]


@pytest.fixture
def worded(suite_file: Callable[..., Path]) -> Maker:
    def make(**changes: Any) -> Suite:
        attacks = [{"kind": "apgd-text", "eps": "8/255", "steps": 5, "precision": "bf16"}]
        given = {
            "protocol": {"preset": "lvlm", "pixels": "native"},
            "samples": 24,
            "models": {"A": OWN, "B": {**OWN, "args": {"seed": 1}}},
            "datasets": [WHAT],
            "attacks": attacks,
            "threats": ["white-box", {"transfer": "A"}],
            **changes,
        }
        return load_suite(suite_file(**given))

    return make


def measured(suite: Suite, root: Path, **how: Any) -> dict[tuple[str, str], CellResult]:
    lock, problems = resolve(suite)
    assert not problems
    evaluate = Evaluator(suite, lock, {}, Store(root, suite.suite), CPU, trust=True, **how)
    return {name_of(cell): evaluate(cell) for cell in expand(suite, lock)}


def name_of(cell: Cell) -> tuple[str, str]:
    threat = (cell.threat.source or "white-box") if cell.threat else ""
    return cell.target, f"{cell.attack.label_in_norm} {cell.eps} {threat}" if cell.attack else ""


def test_cells_of_words_have_texts_and_stay_in_their_budget(worded: Maker, tmp_path: Path) -> None:
    found = measured(worded(), tmp_path)
    assert {result.status for result in found.values()} == {"ok"}
    for (_, attack), result in found.items():
        assert len(result.texts) == len(result.correct) == 24
        assert float(result.distance.max()) <= (BUDGET.eps + 1e-6 if attack else 0)
    clean, white = found["A", ""], found["A", "apgd-text 8/255 white-box"]
    assert white.correct.sum() < clean.correct.sum()
    assert not (white.correct & ~clean.correct).any()  # what was wrong is not attacked
    assert white.scores is None  # right or wrong is all that there is
    assert found["A", "apgd-text 8/255 A"].flags == ("precision=bf16",)
    assert len(list((tmp_path / "crafts").glob("*.safetensors"))) == 1  # for both targets
    assert found["B", "apgd-text 8/255 A"].queries == 24


def test_batch_size_moves_no_answer(worded: Maker, tmp_path: Path) -> None:
    wide, narrow = measured(worded(), tmp_path / "a"), measured(worded(), tmp_path / "b", batch=5)
    assert {key: each.texts for key, each in wide.items()} == {
        key: each.texts for key, each in narrow.items()
    }
    assert {each.provenance["batch"] for each in narrow.values()} == {5}


def test_records_have_how_many_images_were_attacked_and_answered_at_once(
    worded: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which differ where images are made on another model than answers."""
    sizes = {"A": 7, "B": 5}
    monkeypatch.setattr(ModelCache, "batch", lambda self, model, dataset: Batch(sizes[model]))
    found = measured(worded(), tmp_path)
    told = {
        key: (each.provenance["batch"], each.provenance["answer_batch"])
        for key, each in found.items()
    }
    assert told["A", ""] == told["A", "apgd-text 8/255 white-box"] == (7, 7)
    assert told["B", ""] == told["B", "apgd-text 8/255 white-box"] == (5, 5)
    assert told["B", "apgd-text 8/255 A"] == (7, 5)


def test_a_cell_goes_on_after_a_break_and_ends_the_same(
    worded: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.plan.shards.PART", 8)
    suite, key = worded(threats=["white-box"]), ("A", "apgd-text 8/255 white-box")
    whole = measured(suite, tmp_path / "whole")[key]
    crafts: list[int] = []
    real = attack_answers

    def breaks(case: Case, *given: Any) -> None:
        crafts.append(len(case.images.labels))
        if len(crafts) == 2:
            raise RuntimeError("the machine died")
        real(case, *given)

    monkeypatch.setattr("bench.evaluate.white_box.attack_answers", breaks)
    assert measured(suite, tmp_path / "broken")[key].status == "failed"
    done = len(crafts)
    again = measured(suite, tmp_path / "broken")[key]
    assert len(crafts) - done == 2  # the parts that were not kept before
    assert again.texts == whole.texts
    assert np.array_equal(again.distance, whole.distance)
    assert (again.queries, again.flags) == (whole.queries, whole.flags)


def test_a_larger_budget_begins_with_what_a_smaller_one_took(worded: Maker, tmp_path: Path) -> None:
    attacks = [{"kind": "apgd-text", "eps": ["1/255", "8/255"], "steps": 5, "nested": True}]
    found = measured(worded(attacks=attacks, threats=["white-box"]), tmp_path)
    small, large = (found["A", f"apgd-text {eps}/255 white-box"] for eps in (1, 8))
    fallen = ~small.correct
    assert fallen.any()
    assert "nested" in large.flags
    assert [t for t, gone in zip(large.texts, fallen, strict=True) if gone] == [
        t for t, gone in zip(small.texts, fallen, strict=True) if gone
    ]


def test_what_an_attack_cannot_do_is_a_skip_with_a_reason(worded: Maker, tmp_path: Path) -> None:
    models = {"A": OWN, "CLIP": {"kind": "nano", "weights": "clip"}}
    steps = {"eps": "8/255", "steps": 2}
    attacks = [
        {"kind": "apgd-text", **steps, "references": 2},
        {"kind": "apgd-embedding", **steps, "restarts": 2},
        {"kind": "ensemble", "eps": "8/255", "attacks": [{"kind": "apgd-text", "steps": 2}]},
        {
            "kind": "ensemble",
            "name": "values",
            "eps": "8/255",
            "attacks": [{"kind": "value-features"}],
        },
    ]
    threats = [{"transfer": "A"}, {"transfer": "CLIP"}, {"transfer": ["A", "CLIP"]}]
    suite = worded(models=models, attacks=attacks, threats=threats, samples=4)
    found = measured(suite, tmp_path)
    assert {target for target, _ in found} == {"A"}  # a CLIP has no cells
    said = {attack: (each.status, each.reason or "") for (_, attack), each in found.items()}
    assert said["apgd-embedding 8/255 CLIP"] == said["apgd-embedding 8/255 A"] == ("ok", "")
    assert "CLIP does not" in said["apgd-text 8/255 CLIP"][1]
    assert said["apgd-text 8/255 A"] == ("ok", "")
    assert "no loss in common" in said["apgd-text 8/255 A + CLIP"][1]
    assert "attack different texts" in said["ensemble 8/255 A"][1]
    assert "needs a CLIP" in said["values 8/255 A"][1]
    assert "references=1" in found["A", "apgd-text 8/255 A"].flags


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"attacks": [{"kind": "apgd-ce", "eps": "8/255"}]},
            "attacks.0: apgd-ce needs classes, but the task of the datasets is visual question",
        ),
        (
            {"datasets": ["cifar10"], "models": {"C": {"kind": "nano", "weights": "clip"}},
             "threats": ["white-box"]},
            "attacks.0: apgd-text needs answers in words, but the task of the datasets is",
        ),
        (
            {"models": {"A": OWN, "C": {"kind": "nano", "weights": "clip"}}},
            "models.C: does not answer in words, but the task of the datasets is visual question "
            "answering; it would be scored on no dataset, and no model, attack or threat uses it",
        ),
        (
            {"datasets": ["cifar10"], "attacks": [{"kind": "pgd", "eps": "8/255"}]},
            "threats.1.transfer: A answers in words, but the task of the datasets is zero-shot",
        ),
    ],
)  # fmt: skip
def test_what_takes_part_in_nothing_is_a_fault(
    worded: Maker, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SuiteError, match="fault") as caught:
        worded(**changes)
    assert said in str(caught.value)


NATIVE = {"preset": "lvlm", "pixels": "native"}
TEXT = {"kind": "apgd-text", "eps": "8/255", "steps": 5, "precision": "bf16"}
TARGETED = {"kind": "apgd-text-targeted", "eps": "8/255", "steps": 5}
JUDGED = {"kind": "openai", "url": "http://127.0.0.1:9", "model": "judge-1"}


def ids(suite: Suite, *, clean: bool) -> set[str]:
    lock, problems = resolve(suite)
    assert not problems
    return {cell.id for cell in expand(suite, lock) if (cell.attack is None) == clean}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (TEXT, {**TEXT, "threshold": 0.1}),
        (TEXT, {**TEXT, "references": 2}),
        (TEXT, {**TEXT, "precision": "fp32"}),
        (TEXT, TARGETED),
        (TARGETED, {**TARGETED, "target": "maybe"}),
        ({**TARGETED, "target": "maybe"}, {**TARGETED, "target": "no"}),
    ],
)
def test_identities_have_what_an_attack_on_answers_depends_on(
    worded: Maker, before: dict[str, Any], after: dict[str, Any]
) -> None:
    first, second = worded(attacks=[before]), worded(attacks=[after])
    assert not ids(first, clean=False) & ids(second, clean=False)
    assert ids(first, clean=True) == ids(second, clean=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": {**NATIVE, "answer_tokens": 5}},
        {"protocol": {**NATIVE, "judge": JUDGED}},
        {"datasets": [{**WHAT, "prompt": "Q: {question}"}]},
    ],
    ids=["tokens", "judge", "prompt"],
)
def test_identities_have_what_an_answer_depends_on(worded: Maker, changes: dict[str, Any]) -> None:
    for clean in (False, True):
        assert not ids(worded(), clean=clean) & ids(worded(**changes), clean=clean)


def test_a_judge_is_in_the_identities_of_what_it_judges_alone(worded: Maker) -> None:
    asked = {**WHAT, "ask": "whether"}
    suites = [
        worded(datasets=[asked], protocol={**NATIVE, **more}) for more in ({}, {"judge": JUDGED})
    ]
    first, second = (ids(suite, clean=False) for suite in suites)
    assert first == second


def test_modes_are_by_threat(worded: Maker) -> None:
    assert ids(worded(), clean=False) == ids(worded(protocol=NATIVE), clean=False)
    modes = {cell.threat.kind: cell.mode for cell in expand(worded(), Lock()) if cell.threat}
    assert modes == {"white-box": "success", "transfer": "full"}


@pytest.mark.parametrize(
    ("preset", "members", "gradients"),
    [
        ("robustvlm-coco", ["apgd-text"], 500),
        ("robustvlm-vqa", ["apgd-text", "apgd-text-targeted", "apgd-text-targeted"], 700),
        ("robustvlm-textvqa", ["apgd-text", "apgd-text-targeted"], 600),
    ],
)
def test_presets_are_what_robustvlm_did(
    worded: Maker, preset: str, members: list[str], gradients: int
) -> None:
    (attack,) = worded(attacks=[{"preset": preset, "eps": "2/255"}]).attacks
    assert isinstance(attack, ApgdText | Ensemble)
    parts = attack.attacks if isinstance(attack, Ensemble) else (attack,)
    assert [part.kind for part in parts] == members
    assert (attack.precision, attack.confirm, attack.gradients) == ("bf16", True, gradients)
    named = "apgd-text(5 references)"
    assert settings(attack)["attacks"].startswith(named)


def test_a_part_alone_is_kept_for_its_cell(
    worded: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.plan.shards.PART", 8)
    attacks = [{"kind": "apgd-text-targeted", "eps": "8/255", "steps": 2, "target": "maybe"}]
    suite = worded(attacks=attacks, threats=["white-box"], models={"A": OWN})
    lock, _ = resolve(suite)
    evaluate = Evaluator(suite, lock, {}, Store(tmp_path, suite.suite), CPU, trust=True)
    (cell,) = (cell for cell in expand(suite, lock) if cell.attack)
    assert [len(evaluate(cell, part).texts) for part in range(3)] == [8, 8, 8]
    whole = evaluate(cell)
    assert len(whole.texts) == 24
    assert whole.reached is not None
    assert len(whole.reached) == 24 and 0 < whole.reached.mean() < 1
    assert whole.flags == (f"reached={whole.reached.mean():.2f}",)
    kept, texts = whole.reached.tolist(), whole.texts
    assert all(was or "maybe" not in text for was, text in zip(kept, texts, strict=True))


def test_transferred_images_reach_a_target_where_the_answer_has_it(
    worded: Maker, tmp_path: Path
) -> None:
    attacks = [{"kind": "apgd-text-targeted", "eps": "8/255", "steps": 5, "target": "maybe"}]
    found = measured(worded(attacks=attacks, threats=[{"transfer": "A"}]), tmp_path)
    for (_, attack), result in found.items():
        if attack:
            assert result.reached is not None
            assert result.reached.tolist() == ["maybe" in text for text in result.texts]
            assert result.flags == (f"reached={result.reached.mean():.2f}",)
        else:
            assert result.reached is None


def test_what_a_smaller_budget_reached_is_reached_at_a_larger_one(
    worded: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = {"kind": "apgd-text-targeted", "steps": 3, "target": "maybe", "nested": True}
    suite = worded(
        attacks=[{**attack, "eps": ["4/255", "8/255"]}], threats=["white-box"],
        models={"A": OWN}, samples=4,
    )  # fmt: skip
    lock, _ = resolve(suite)
    store = Store(tmp_path, suite.suite)
    small, large = (cell for cell in expand(suite, lock) if cell.attack)
    ids = lock.datasets["what"].sample_ids
    done = np.array([True, False, True, False])
    store.put(
        CellResult(
            small.id, "ok", np.zeros(4, np.bool_), ids, np.zeros(4, np.float32), 1.0, 4,
            {}, texts=("wrong",) * 4, reached=done,
        )
    )  # fmt: skip
    crafted = []
    monkeypatch.setattr(CRAFT, lambda case, attack, rows, *given, **more: (
        crafted.append(rows.tolist()), case.images.floats(rows)
    )[1])  # fmt: skip
    evaluate = Evaluator(suite, lock, {}, store, CPU, trust=True)
    found = evaluate(large)
    assert found.reached is not None, found.reason
    assert crafted == [[1, 3]]
    assert bool(found.reached[done].all())


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("a man on a snowboard", "no", False), ("the dog is on vacation", "cat", False),
        ("No, it is not.", "no", True), ("it is a Hot\n dog", "hot dog", True),
        ("don't know (maybe)", "Maybe", True), ("noon", "no", False), ("0.55", "0.5", False),
    ],
)  # fmt: skip
def test_a_target_is_said_in_whole_words(text: str, target: str, said: bool) -> None:
    assert contains_target(text, target) == said


def test_an_image_whose_answer_has_the_targets_letters_alone_is_attacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attack = ApgdTextTargeted(kind="apgd-text-targeted", eps="8/255", target="no")
    case, crafted = case_of(attack, [("a",), ("b",)]), []
    said = iter([("a snowboard", "no"), ("no",)])

    def craft(case: Case, attack: AnyAttack, rows: Tensor, *given: Any, **more: Any) -> Tensor:
        crafted.append(rows.tolist())
        return case.images.floats(rows)

    def answer_images(case: Case, rows: Tensor, *given: Any) -> ScoredAnswers:
        return ScoredAnswers(next(said), np.ones(len(rows), np.float32))

    monkeypatch.setattr(CRAFT, craft)
    monkeypatch.setattr("bench.evaluate.answer_attacks.answer_images", answer_images)
    attack_answers(case, attack, "float16", new_tally(case.images.sample_ids))
    assert crafted == [[0]]


def test_one_judge_serves_all_datasets_and_is_let_go_of_with_the_models(
    worded: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Any]] = []

    def build(*_: Any) -> Any:
        def judge(texts: Sequence[str], questions: Sequence[Question]) -> Any:
            return np.ones(len(texts), np.float32)

        made.append(weakref.ref(judge))
        return judge

    monkeypatch.setattr("bench.evaluate.scorer_cache.build_judge", build)
    suite = worded(datasets=[WHAT, {**WHAT, "name": "again"}], samples=2)
    lock, _ = resolve(suite)
    cache = ModelCache(suite, lock, {}, CPU, None, True)
    for name in ("what", "again"):
        questions = cache.images(name).questions
        assert cache.scorer(name, "names_object")(["?"] * 2, questions).tolist() == [1, 1]
    assert [judge() is None for judge in made] == [False]
    cache.free_memory()
    assert [judge() is None for judge in made] == [True]


def test_a_target_that_nobody_names_is_told_in_both_modes() -> None:
    attack = ApgdTextTargeted(kind="apgd-text-targeted", eps="8/255")
    said = "apgd-text-targeted: 1 of 2 questions have no target; give the attack a `target`"
    questions = [Question("?", ("a",), decoy="b"), Question("?", ("a",))]
    with pytest.raises(CellError, match=re.escape(said)):
        attack_texts(attack, questions, "cider")
    named = ApgdTextTargeted(kind="apgd-text-targeted", eps="8/255", target="c")
    assert attack_texts(named, questions, "cider") == ["c", "c"]
    text = ApgdText(kind="apgd-text", eps="8/255")
    assert attack_texts(text, questions, "cider", 1) == [None, None]


def test_time_that_is_up_ends_a_cell(worded: Maker, tmp_path: Path) -> None:
    found = measured(worded(threats=["white-box"], models={"A": OWN}), tmp_path, limit=0.0)
    assert {result.status for result in found.values()} == {"failed"}
    assert all("of --limit" in (result.reason or "") for result in found.values())


def test_time_is_checked_while_a_slow_judge_is_asked(
    worded: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    asked: list[str] = []

    def slow(
        spec: object, prompts: Sequence[str], trust: bool, check: Callable[[], None]
    ) -> Iterator[str]:
        for prompt in prompts:
            check()
            asked.append(prompt)
            clock.sleep(1.0)
            yield "1"

    monkeypatch.setattr("bench.tasks.answer_judges.endpoint_replies", slow)
    suite = worded(
        protocol={**NATIVE, "judge": JUDGED}, models={"A": OWN}, attacks=None, threats=None
    )
    (result,) = measured(suite, tmp_path, limit=2.5).values()
    assert "more than the 2.5 seconds of --limit" in str(result.reason)
    assert len(asked) == clock.now == 3
    (result,) = measured(suite, tmp_path).values()
    assert result.status == "ok"
    assert len(set(asked)) == len(asked)  # replies that came in time are kept


def test_visual_tokens_drift_from_the_clean_ones_on_every_image() -> None:
    model, images, rows = asked()
    spec = ApgdEmbedding(kind="apgd-embedding", eps="8/255", steps=6, restarts=2)
    counted = QueryCounter(model, Deadline(None))
    found = build_attack(spec, batch=5, answers=True)(
        counted, images, rows, BUDGET, mode="full", seeds=range(12)
    )
    clean = model.embed(images)
    assert torch.allclose(clean.norm(dim=1), torch.ones(12))
    tokens = F.cosine_similarity(*(model.model.visual_tokens(x) for x in (images, found)), dim=-1)
    cosines = (clean * model.embed(found)).sum(dim=1)
    assert torch.allclose(cosines, tokens.mean(dim=1), atol=1e-5)  # token by token
    assert bool((cosines < 0.999).all())
    # each run: the clean image, its steps and last point; then both points are ranked
    assert counted.forwards == 12 * (2 * (1 + 6 + 1) + 2 * 2)
