"""What metrics are called, and how their numbers are written."""

import pytest

from bench.results.number_format import scale_of
from bench.suite.metrics import (
    ACCURACY,
    CIDER,
    NAMES,
    VQA_ACCURACY,
    YES_NO,
    counts_captions,
    graded,
    image_of,
    shares_images,
    stands_for_task,
    suffix,
    task_named,
)


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        (ACCURACY, "zero-shot classification"),
        ("text_retrieval_recall@1", "zero-shot retrieval"),
        ("image_retrieval_recall@5", "zero-shot retrieval"),
        (VQA_ACCURACY, "visual question answering"),
        (YES_NO, "visual question answering"),
        (NAMES, "visual question answering"),
        (CIDER, "captioning"),
    ],
)
def test_tasks_have_names(metric: str, task: str) -> None:
    assert task_named(metric) == task


@pytest.mark.parametrize(
    ("metric", "shares"), [(VQA_ACCURACY, True), (YES_NO, False), (NAMES, False), (CIDER, True)]
)
def test_metrics_of_answers_stand_for_their_task(metric: str, shares: bool) -> None:
    assert suffix(metric) == ""
    assert stands_for_task(metric)
    assert not counts_captions(metric)
    assert graded(metric) is shares


def test_questions_and_captions_are_of_an_image() -> None:
    assert image_of("a.jpg#17") == image_of("a.jpg#18") == "a.jpg"
    assert image_of("a#1.jpg#17") == "a#1.jpg"
    assert image_of("a.jpg") == "a.jpg"
    told = (VQA_ACCURACY, YES_NO, NAMES, "image_retrieval_recall@1")
    assert all(map(shares_images, told))
    assert not any(map(shares_images, (ACCURACY, CIDER, "text_retrieval_recall@1")))


def test_further_depths_of_retrieval_are_named() -> None:
    assert suffix("text_retrieval_recall@1") == ""
    assert suffix("text_retrieval_recall@5") == " TR@5"
    assert suffix("image_retrieval_recall@1") == " IR@1"
    assert not graded("image_retrieval_recall@1")


def test_rates_are_in_percent_and_cider_on_its_own_scale() -> None:
    assert scale_of(VQA_ACCURACY).text(0.1234, "+") == "+12.3"
    assert scale_of(ACCURACY).unit == "%"
    assert scale_of(CIDER).text(1.1554) == "1.155"
    assert scale_of(CIDER).range == "from 0 to 10"
    assert (scale_of(YES_NO).axis, scale_of(CIDER).axis) == ("accuracy (%)", "CIDEr-D")
