"""Tables of answers: yes-or-no questions as POPE reports them, VQA accuracy by type of answer.

What is expected of POPE's numbers was computed with POPE's own `evaluate.py` on the same answers.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import load_results, load_suite, per_answer_type, run_suite, yes_no_scores
from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.report.export import export
from bench.results.tables import load_scored
from bench.results.yes_no_table import (
    F1,
    MEAN,
    PRECISION,
    RECALL,
    YES_RATE,
    values_of,
    yes_no_frame,
)
from bench.stats import wilson
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.metrics import YES_NO
from bench.tasks.yes_no import yes_no
from tests.support.question_files import vqav2, write
from tests.support.worded import ANSWERING, QUESTIONS, filled, suite_of

POPE_SETS = tuple(
    {**QUESTIONS, "format": "pope", "name": name} for name in ("random", "popular", "adversarial")
)
SAID = (
    *("Yes", "No", "Yes, there is.", "There is not one.", "yes. No doubt.", "NO"),
    *("no,", "Not at all", "", "I see no car", "Yes", "No"),
)
LABELS = ("yes", "yes", "yes", "no", "no", "no", "no", "no", "yes", "no", "no", "yes")
IDS = tuple(f"{place // 3}.jpg#{place}" for place in range(12))  # three questions an image
# of SAID, with the labels as they are, and in the opposite order
FORWARDS = {YES_NO: 0.5, PRECISION: 3 / 7, RECALL: 0.6, F1: 0.5, YES_RATE: 7 / 12}
BACKWARDS = {YES_NO: 1 / 3, PRECISION: 2 / 7, RECALL: 0.4, F1: 1 / 3, YES_RATE: 7 / 12}
AGREEABLE = {YES_NO: 5 / 12, PRECISION: 5 / 12, RECALL: 1, F1: 10 / 17, YES_RATE: 1}


def answered(cell: Cell, texts: Sequence[str], labels: Sequence[str]) -> CellResult:
    right = [yes_no(text) == label for text, label in zip(texts, labels, strict=True)]
    far = np.zeros(len(texts), np.float32)
    return CellResult(cell.id, "ok", np.array(right), IDS, far, 0.1, 12, {}, texts=tuple(texts))


def stored(folder: Path, suite: Suite, texts: Sequence[str]) -> Store:
    """Return a store in which the labels of the set `popular` are in the opposite order."""
    store = filled(folder, suite)
    for cell in expand(suite, store.lock()):
        labels = LABELS[::-1] if cell.dataset == "popular" else LABELS
        store.put(answered(cell, texts, labels))
    return store


def numbers(frame: pd.DataFrame, dataset: str) -> dict[str, float]:
    """Return the numbers of a dataset by metric; they are the same in all cells."""
    rows = frame[frame["dataset"] == dataset]
    assert (rows.groupby("metric")["value"].nunique(dropna=False) == 1).all()
    return dict(rows.groupby("metric", sort=False)["value"].first())


@pytest.mark.parametrize(
    ("texts", "dataset", "expected"),
    [
        (SAID, "random", FORWARDS),
        (SAID, "popular", BACKWARDS),
        (("Yes",) * 12, "adversarial", AGREEABLE),
    ],
)
def test_popes_numbers(
    texts: Sequence[str], dataset: str, expected: dict[str, float], tmp_path: Path
) -> None:
    suite = suite_of(POPE_SETS, attacked=False)
    frame = yes_no_frame(suite, load_scored(read_results(suite, stored(tmp_path, suite, texts))))
    assert numbers(frame, dataset) == pytest.approx(expected)


def test_f1_is_averaged_over_datasets(tmp_path: Path) -> None:
    suite = suite_of(POPE_SETS, attacked=False)
    store = stored(tmp_path, suite, SAID)
    frame = yes_no_scores(suite, tmp_path)
    assert len(frame) == 3 * (3 + 1) * 5  # models, sets and their mean, metrics
    mean = numbers(frame, MEAN)
    assert mean[F1] == pytest.approx((0.5 + 0.5 + 1 / 3) / 3)
    of_mean = frame[(frame["dataset"] == MEAN) & (frame["metric"] == F1)].iloc[0]
    each = frame[(frame["dataset"] != MEAN) & (frame["metric"] == F1)].iloc[:3]
    assert of_mean["ci_low"] == pytest.approx(each["ci_low"].mean())
    assert of_mean["ci_high"] == pytest.approx(each["ci_high"].mean())
    # a set without a number leaves the mean without a number
    scored = load_scored(read_results(suite, store))
    lacking = [item for item in scored if item.cell.dataset != "popular"]
    assert np.isnan(numbers(yes_no_frame(suite, lacking), MEAN)[F1])


def test_a_model_that_never_says_yes_has_no_precision(tmp_path: Path) -> None:
    suite = suite_of(POPE_SETS[:1], attacked=False)
    frame = yes_no_frame(
        suite, load_scored(read_results(suite, stored(tmp_path, suite, ("No",) * 12)))
    )
    found = numbers(frame, "random")
    assert np.isnan(found[PRECISION])
    assert (found[RECALL], found[F1], found[YES_RATE]) == (0, 0, 0)
    assert MEAN not in set(frame["dataset"])


def test_questions_about_one_image_count_as_one() -> None:
    said, true = (np.array([word(text) for text in texts]) for word, texts in (
        (lambda text: yes_no(text) == "yes", SAID), (lambda label: label == "yes", LABELS),
    ))  # fmt: skip
    images = [key.partition("#")[0] for key in IDS]
    by_metric = {metric: (n, found) for metric, n, found in values_of(said, true, images)}
    n, accuracy = by_metric[YES_NO]
    assert n == 12
    assert (accuracy.low, accuracy.high) == wilson(0.5 * 4, 4)
    n, precision = by_metric[PRECISION]  # seven answers about four images
    assert n == 7
    assert (precision.low, precision.high) == wilson(3 / 7 * 4, 4)
    n, f1 = by_metric[F1]
    low, high = wilson(3 / 9 * 4, 4)
    assert n == 9
    assert (f1.low, f1.high) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


@pytest.mark.parametrize(("images", "about_each"), [(200, 1), (100, 6)])
def test_intervals_cover_the_true_values(images: int, about_each: int) -> None:
    rng = np.random.default_rng(0)
    true = np.tile([True, False], images * about_each // 2)
    owners = [str(place // about_each) for place in range(len(true))]
    hits, false_alarms = 0.85, 0.2  # how often a model says yes where yes and where no is true
    precision = hits / (hits + false_alarms)
    truth = {
        YES_NO: (hits + 1 - false_alarms) / 2,
        PRECISION: precision,
        RECALL: hits,
        F1: 2 * precision * hits / (precision + hits),
        YES_RATE: (hits + false_alarms) / 2,
    }
    covered, tables = dict.fromkeys(truth, 0), 600
    for _ in range(tables):
        # all questions about an image are easy or hard together
        drawn = np.repeat(rng.random(images), about_each)
        said = drawn < np.where(true, hits, false_alarms)
        for metric, _, found in values_of(said, true, owners):
            covered[metric] += found.low <= truth[metric] <= found.high
    assert min(covered.values()) / tables > 0.92


def test_the_export_writes_the_table(tmp_path: Path) -> None:
    suite = suite_of(POPE_SETS)
    store = stored(tmp_path, suite, SAID)
    export(read_results(suite, store))
    written = pd.read_csv(store.folder / "yes_no.csv")
    assert written.groupby("metric")["value"].max()[F1] == pytest.approx(0.5)
    whole = load_results(store.folder).set_index("cell_id")["value"]
    accuracy = written[(written["metric"] == YES_NO) & (written["dataset"] != MEAN)]
    assert accuracy["value"].to_numpy() == pytest.approx(whole[accuracy["cell_id"]].to_numpy())
    without = suite_of(ANSWERING[:1])
    other = filled(tmp_path / "other", without)
    export(read_results(without, other))
    assert not (other.folder / "yes_no.csv").exists()


# --- VQA accuracy by type of answer ---------------------------------------------------------------

TYPED = (("yes/no", "yes", 10), ("yes/no", "yes", 4), ("other", "down", 10))


def vqa_suite(folder: Path, rule: str, *, typed: bool = True) -> Suite:
    """Write questions of VQA v2 and a suite with a model that says Yes to all of them."""
    spec = vqav2(folder)
    path = Path(spec.annotations or "")
    content: dict[str, Any] = json.loads(path.read_text())
    for entry, (kind, word, times) in zip(content["annotations"], TYPED, strict=True):
        entry["answer_type"] = kind
        entry["answers"] = [{"answer": word if i < times else "no"} for i in range(10)]
        if not typed:
            del entry["answer_type"]
    write(path, content)
    raw = {
        "suite": "typed",
        "protocol": {"preset": "lvlm", "pixels": {"size": 16, "fit": "squash"}, "vqa_rule": rule},
        "samples": 3,
        "models": {
            "yes": {
                "kind": "python",
                "target": "tests.support.small_speaker:Agreeable",
                "answers": True,
            }
        },
        "datasets": [spec.model_dump(exclude_none=True)],
    }
    return load_suite(Path(write(folder / "suite.yaml", raw)))


@pytest.mark.parametrize(("rule", "yes"), [("official", 1 / 2), ("always", 1.0)])
def test_vqa_accuracy_by_type_of_answer(rule: str, yes: float, tmp_path: Path) -> None:
    suite = vqa_suite(tmp_path, rule)
    report = run_suite(suite, results=tmp_path / "results", trust=True, device="cpu")
    row = load_results(report.folder).iloc[0]
    assert (row["value"], row["vqa_rule"]) == (pytest.approx(2 * yes / 3), rule)
    table = per_answer_type(suite, tmp_path / "results").set_index("answer_type")
    assert table["value"].to_dict() == pytest.approx({"other": 0, "yes/no": yes})
    assert table["n"].to_dict() == {"other": 1, "yes/no": 2}
    # both yes-or-no questions are about one image
    bounds = table.loc["yes/no", ["ci_low", "ci_high"]].tolist()
    assert bounds == pytest.approx(wilson(yes, 1))


def test_types_of_other_questions_are_not_taken(tmp_path: Path) -> None:
    suite = vqa_suite(tmp_path, "always", typed=False)
    results = tmp_path / "results"
    run_suite(suite, results=results, trust=True, device="cpu")
    with pytest.raises(UserError, match="no dataset with results states the types"):
        per_answer_type(suite, results)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["answer_type"] = "other"
    write(path, content)
    with pytest.raises(UserError, match="2 of 3 questions state no type of their answer, first"):
        per_answer_type(suite, results)
    path.write_text(path.read_text().replace("down", "up"))
    with pytest.raises(UserError, match=r"datasets\.set: .*differ from the questions that were"):
        per_answer_type(suite, results)
