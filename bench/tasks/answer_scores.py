"""Score the answers of a model with the metric of the dataset."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.language_types import Question
from bench.suite.metrics import CHOICE, CIDER, NAMES_OBJECT, VQA_ACCURACY, YES_NO
from bench.suite.specs import VqaRule
from bench.tasks.answer_judges import Judge
from bench.tasks.chosen_letter import chosen_letter
from bench.tasks.cider import Cider
from bench.tasks.vqa import vqa_accuracy
from bench.tasks.yes_no import yes_no


class Scorer(Protocol):
    """Scores texts."""

    def __call__(self, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        """Return the score of each text, 0 to the metric's `highest`, `[n]`."""
        ...


def build_scorer(
    metric: str, all_exchanges: Sequence[Question], judge: Judge, rule: VqaRule = "official"
) -> Scorer:
    """Build the scorer of a metric.

    Args:
        metric: Name of a metric of texts in `bench.suite.metrics`.
        all_exchanges: The questions of all samples of the cell; CIDEr counts word frequencies in
            their references.
        judge: Decides whether an object is named.
        rule: When VQA accuracy normalises answers.
    """
    return _SCORERS[metric](all_exchanges, judge, rule)


def _cider(all_exchanges: Sequence[Question], judge: Judge, rule: VqaRule) -> Scorer:
    cider = Cider(all_exchanges)
    return lambda texts, questions: cider(texts, questions).astype(np.float32)


def _per_text(score: Callable[[str, Question], float]) -> Scorer:
    def scores(texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
        found = [score(text, question) for text, question in zip(texts, questions, strict=True)]
        return np.array(found, np.float32)

    return scores


# functions that build the scorer of a metric
_SCORERS: dict[str, Callable[[Sequence[Question], Judge, VqaRule], Scorer]] = {
    CHOICE: lambda all_exchanges, judge, rule: _per_text(
        lambda text, e: float(chosen_letter(text) == e.answers[0])
    ),
    CIDER: _cider,
    NAMES_OBJECT: lambda all_exchanges, judge, rule: judge,
    VQA_ACCURACY: lambda all_exchanges, judge, rule: _per_text(
        lambda text, e: vqa_accuracy(text, e.answers, rule)
    ),
    YES_NO: lambda all_exchanges, judge, rule: _per_text(
        lambda text, e: float(yes_no(text) == e.answers[0])
    ),
}
