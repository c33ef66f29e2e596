"""Scores of what a model said, by the metric of the dataset."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.language_types import Question
from bench.suite.metrics import CIDER, NAMES, VQA_ACCURACY, YES_NO
from bench.tasks.answer_judges import Judge
from bench.tasks.cider import Cider
from bench.tasks.vqa import vqa_accuracy
from bench.tasks.yes_no import yes_no


class Scorer(Protocol):
    """Scores texts."""

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        """Return the score of each text, 0 to the metric's `highest`, `[n]`."""
        ...


def scorer(metric: str, everyone: Sequence[Question], judge: Judge) -> Scorer:
    """Return what scores texts by a metric.

    Args:
        metric: One of `bench.suite.metrics` that is of texts.
        everyone: The questions of all samples of the cell, whose references make up CIDEr's
            frequencies.
        judge: Decides whether an object is named.
    """
    return _SCORERS[metric](everyone, judge)


def _cider(everyone: Sequence[Question], judge: Judge) -> Scorer:
    cider = Cider(everyone)
    return lambda texts, questions: cider(texts, questions).astype(np.float32)


def _each(score: Callable[[str, Question], float]) -> Scorer:
    def scores(texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        found = [score(text, question) for text, question in zip(texts, questions, strict=True)]
        return np.array(found, np.float32)

    return scores


# by metric, what makes its scorer
_SCORERS: dict[str, Callable[[Sequence[Question], Judge], Scorer]] = {
    CIDER: _cider,
    NAMES: lambda everyone, judge: judge,
    VQA_ACCURACY: lambda everyone, judge: _each(lambda text, e: vqa_accuracy(text, e.answers)),
    YES_NO: lambda everyone, judge: _each(lambda text, e: float(yes_no(text) == e.answers[0])),
}
