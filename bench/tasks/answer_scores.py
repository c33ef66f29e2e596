"""Scores of what a model said, by the metric of the dataset."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.core.exchanges import Exchange
from bench.suite.metrics import CIDER, NAMES, VQA_ACCURACY, YES_NO
from bench.tasks.answer_judges import Judge
from bench.tasks.cider import Cider
from bench.tasks.vqa import vqa_accuracy
from bench.tasks.yes_no import yes_no


class Scorer(Protocol):
    """Scores texts."""

    def __call__(self, texts: Sequence[str], exchanges: Sequence[Exchange]) -> NDArray[np.float32]:
        """Return the score of each text, 0 to `bench.suite.metrics.highest`, `[n]`."""
        ...


def scorer(metric: str, everyone: Sequence[Exchange], judge: Judge) -> Scorer:
    """Return what scores texts by a metric.

    Args:
        metric: One of `bench.suite.metrics` that is of texts.
        everyone: The exchanges of all samples of the cell, whose references make up CIDEr's
            frequencies.
        judge: Decides whether an object is named.
    """
    if metric == NAMES:
        return judge
    if metric == CIDER:
        cider = Cider(everyone)
        return lambda texts, exchanges: cider(texts, exchanges).astype(np.float32)
    return _each(
        {
            VQA_ACCURACY: lambda text, exchange: vqa_accuracy(text, exchange.answers),
            YES_NO: lambda text, exchange: float(yes_no(text) == exchange.answers[0]),
        }[metric]
    )


def _each(score: Callable[[str, Exchange], float]) -> Scorer:
    def scores(texts: Sequence[str], exchanges: Sequence[Exchange]) -> NDArray[np.float32]:
        found = [score(text, exchange) for text, exchange in zip(texts, exchanges, strict=True)]
        return np.array(found, np.float32)

    return scores
