"""VQA accuracy by both rules, against the scorers that people use.

What is expected was computed once: `official` with `vqaEval.py` of the VQA dataset's authors (its
newest version, run under Python 3), `always` with RobustVLM's `vqa_metric.py`. LLaVA's scorer of
TextVQA (`m4c_evaluator.py`) agrees with RobustVLM's on all of these except the two that are marked.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.compare.compared_results import protocol_differences
from bench.core.language_types import Question
from bench.core.resolved_names import Lock
from bench.plan.cells import expand
from bench.results.manifest import manifest
from bench.results.tables import cells_frame, load_scored
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.metrics import VQA_ACCURACY, YES_NO, rule_of
from bench.suite.specs import PRESETS, VqaRule
from bench.tasks.answer_judges import match
from bench.tasks.answer_scores import build_scorer
from bench.tasks.vqa import vqa_accuracy
from tests.support.worded import ANSWERING, filled, suite_of

# capitalised answers: how often, the answer, the annotators by what they said
CAPITALISED: tuple[tuple[int, str, Mapping[str, int]], ...] = (
    (14, "Yes", {"yes": 10}),
    (20, "No", {"no": 9, "yes": 1}),
    (11, "2", {"2": 10}),
    (6, "Red", {"red": 6, "dark red": 4}),
    (4, "Sand", {"beach": 8, "sand": 2}),
    (4, "The cat.", {"cat": 3, "dog": 7}),
)


@pytest.mark.parametrize(("rule", "percent"), [("official", 72.881356), ("always", 96.610169)])
def test_capitalised_answers(rule: VqaRule, percent: float) -> None:
    texts, questions = [], []
    for times, text, counts in CAPITALISED:
        annotators = tuple(word for word, count in counts.items() for _ in range(count))
        texts += [text] * times
        questions += [Question("?", annotators)] * times
    scores = build_scorer(VQA_ACCURACY, questions, match, rule)(texts, questions)
    assert scores.mean(dtype=np.float64) * 100 == pytest.approx(percent, abs=1e-4)


MOST = ("red",) * 7 + ("dark red",) * 2 + ("maroon",)


@pytest.mark.parametrize(
    ("text", "answers", "official", "always"),
    [
        ("Unanswerable", ("unanswerable",) * 10, 0, 1),  # as VizWiz's prompt asks for
        ("Unanswerable", ("unanswerable",) * 9 + ("soup",), 1, 1),
        ("RED!", ("red",) * 10, 0, 1),
        ("\tred \n", ("red",) * 10, 1, 1),
        ("two", ("2",) * 10, 0, 1),
        ("The dog", ("dog",) * 10, 0, 1),
        ("1,000", ("1000",) * 10, 0, 1),
        ("Don't know", ("dont know",) * 10, 0, 1),
        ("red, white", ("red white",) * 10, 0, 1),
        ("red,white", ("red white",) * 10, 0, 1),  # LLaVA: 0
        ("whats up", ("what's up",) * 10, 0, 1),  # LLaVA: 0
        ("3:45", ("3:45",) * 10, 1, 1),
        ("Maroon", MOST, 0.3, 0.3),
        ("yes", ("Yes",) * 10, 0, 1),
        ("yes", ("Yes",) * 9 + ("no",), 1, 1),
        ("", ("a",) * 10, 0, 1),  # an article is nothing
    ],
)
def test_the_rules_differ_where_all_annotators_agree(
    text: str, answers: tuple[str, ...], official: float, always: float
) -> None:
    assert vqa_accuracy(text, answers, "official") == pytest.approx(official)
    assert vqa_accuracy(text, answers, "always") == pytest.approx(always)


def test_a_preset_has_the_rule_of_its_paper() -> None:
    rules = {name: rule_of(protocol, VQA_ACCURACY) for name, protocol in PRESETS.items()}
    assert rules == {
        "radapt-paper": "official",
        "clip-benchmark": "official",
        "fare-paper": "always",  # RobustVLM's code
        "tecoa-paper": "official",
        "ttc-paper": "official",
        "tga-paper": "official",
        "r-tpt-paper": "official",
        "lvlm": "always",
    }
    assert rule_of(PRESETS["lvlm"], YES_NO) == ""


def with_rule(rule: VqaRule | None) -> Suite:
    raw: dict[str, Any] = suite_of(ANSWERING).model_dump()
    given = {"preset": "lvlm"} if rule is None else {"preset": "lvlm", "vqa_rule": rule}
    return Suite.model_validate({**raw, "protocol": given})


def test_only_cells_of_vqa_accuracy_depend_on_the_rule() -> None:
    def ids(rule: VqaRule | None) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {VQA_ACCURACY: set(), YES_NO: set()}
        for cell in expand(with_rule(rule), Lock({}, {}, {})):
            found[cell.metric].add(cell.id)
        return found

    official, always = ids("official"), ids("always")
    assert ids(None) == always
    assert official[YES_NO] == always[YES_NO]
    assert not official[VQA_ACCURACY] & always[VQA_ACCURACY]
    assert len(official[VQA_ACCURACY]) == len(always[VQA_ACCURACY])


@pytest.mark.parametrize("rule", ["official", "always"])
def test_the_row_and_the_manifest_say_the_rule(rule: VqaRule, tmp_path: Path) -> None:
    results = read_results(suite := with_rule(rule), filled(tmp_path, suite))
    scored = load_scored(results)
    rows = cells_frame(suite, scored)
    assert set(rows[rows["metric"] == VQA_ACCURACY]["vqa_rule"]) == {rule}
    assert set(rows[rows["metric"] == YES_NO]["vqa_rule"]) == {""}
    entries = manifest(suite, results.lock, scored)
    by_metric = {entry["metric"]: entry.get("vqa_rule") for entry in entries.values()}
    assert by_metric == {VQA_ACCURACY: rule, YES_NO: None}


@pytest.mark.parametrize("stated", [True, False], ids=["stated", "of an earlier version"])
def test_numbers_of_other_rules_are_not_compared(stated: bool, tmp_path: Path) -> None:
    def entry(rule: VqaRule) -> dict[str, Any]:
        results = read_results(suite := with_rule(rule), filled(tmp_path / rule, suite))
        entries = manifest(suite, results.lock, load_scored(results))
        return next(e for e in entries.values() if e["metric"] == VQA_ACCURACY)

    always, official = entry("always"), entry("official")
    if not stated:
        del official["vqa_rule"]
    assert [*protocol_differences(always, official)] == [("vqa_rule", "always", "official")]
    assert not [*protocol_differences(entry("official"), official)]
