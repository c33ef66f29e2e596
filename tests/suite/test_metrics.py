"""What metrics are called, and how their numbers are written."""

import pytest

from bench.core.language_types import Question
from bench.results.number_format import scale_of
from bench.suite.metrics import (
    ACCURACY,
    CHOICE,
    CIDER,
    METRICS,
    NAMES_OBJECT,
    TASKS,
    VQA_ACCURACY,
    YES_NO,
    image_id_of,
    metric_of,
)
from bench.tasks.answer_judges import match
from bench.tasks.answer_scores import build_scorer
from bench.tasks.embedding_tasks import EMBEDDING_TASKS


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        (ACCURACY, "zero-shot classification"),
        ("text_retrieval_recall@1", "zero-shot retrieval"),
        ("image_retrieval_recall@5", "zero-shot retrieval"),
        (VQA_ACCURACY, "visual question answering"),
        (YES_NO, "visual question answering"),
        (CHOICE, "visual question answering"),
        (NAMES_OBJECT, "visual question answering"),
        (CIDER, "captioning"),
    ],
)
def test_tasks_have_names(metric: str, task: str) -> None:
    assert metric_of(metric).task.title == task


@pytest.mark.parametrize(
    ("metric", "shares"),
    [(VQA_ACCURACY, True), (YES_NO, False), (CHOICE, False), (NAMES_OBJECT, False), (CIDER, True)],
)
def test_metrics_of_answers_stand_for_their_task(metric: str, shares: bool) -> None:
    known = metric_of(metric)
    assert known.column("clean") == "clean"
    assert known.is_main
    assert known.unit != "captions"
    assert known.graded is shares


def test_questions_and_captions_are_of_an_image() -> None:
    assert image_id_of("a.jpg#17") == image_id_of("a.jpg#18") == "a.jpg"
    assert image_id_of("a#1.jpg#17") == "a#1.jpg"
    assert image_id_of("a.jpg") == "a.jpg"
    told = (VQA_ACCURACY, YES_NO, CHOICE, NAMES_OBJECT, "image_retrieval_recall@1")
    assert all(metric_of(name).shares_images for name in told)
    alone = (ACCURACY, CIDER, "text_retrieval_recall@1")
    assert not any(metric_of(name).shares_images for name in alone)


def test_further_depths_of_retrieval_are_named() -> None:
    assert metric_of("text_retrieval_recall@1").column("clean") == "clean"
    assert metric_of("text_retrieval_recall@5").column("clean") == "clean TR@5"
    assert metric_of("image_retrieval_recall@1").column("pgd@8/255") == "pgd@8/255 IR@1"
    assert not metric_of("image_retrieval_recall@1").graded


def test_rates_are_in_percent_and_cider_on_its_own_scale() -> None:
    accuracy, yes_no, cider = (scale_of(metric_of(name)) for name in (ACCURACY, YES_NO, CIDER))
    assert scale_of(metric_of(VQA_ACCURACY)).text(0.1234, "+") == "+12.3"
    assert accuracy.unit == "%"
    assert cider.text(1.1554) == "1.155"
    assert cider.range == "from 0 to 10"
    assert (yes_no.axis, cider.axis) == ("accuracy (%)", "CIDEr-D")


def test_one_metric_stands_for_a_task_and_comes_first_unless_the_dataset_chooses() -> None:
    for task in TASKS.values():
        own = [metric.is_main for metric in METRICS if metric.task is task]
        assert own[0]
        assert task.answers or not any(own[1:])


def test_an_unknown_metric_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="got 'acuracy'; allowed: accuracy, text_retrieval"):
        metric_of("acuracy")


def test_each_task_and_metric_has_its_behaviour() -> None:
    embedding = {task.name for task in TASKS.values() if not task.answers}
    assert EMBEDDING_TASKS.keys() == embedding
    question = Question("What is it?", ("a cat",), ("cat",))
    for metric in METRICS:
        if metric.task.answers:
            scores = build_scorer(metric.name, [question], match)(["a cat"], [question])
            assert scores.shape == (1,)
