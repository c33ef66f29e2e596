"""The texts that an attack wants a model to say or not to say, and whether it said them."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.suite.metrics import CAPTIONING, metric_of
from bench.suite.specs import AnyAttack, ApgdTextTargeted


def references(question: Question, metric: str) -> tuple[str, ...]:
    """Return the different right answers, in the order in which they are attacked.

    Captions are in the order of the dataset, answers in that of how many annotators gave them, as
    in RobustVLM. Where a dataset has no answers, the name of the object is the only one.
    """
    known = question.answers or question.names[:1]
    if metric_of(metric).task is CAPTIONING:
        return tuple(dict.fromkeys(known))
    return tuple(dict(Counter(known).most_common()))


def text_of(attack: AnyAttack, question: Question, metric: str, reference: int = 0) -> str | None:
    """Return the text that an attack wants a model to say, or not to say; None if none is known.

    Args:
        attack: The attack, no ensemble.
        question: The question, with its answers.
        metric: Name of the metric.
        reference: Number of the right answer, of those of `references`.
    """
    if isinstance(attack, ApgdTextTargeted):
        return attack.target or question.decoy or None
    known = references(question, metric)
    return known[reference] if reference < len(known) else None


def texts_of(
    attack: AnyAttack, questions: Sequence[Question], metric: str, reference: int = 0
) -> list[str | None]:
    """Return the texts of `text_of` for some questions.

    Raises:
        CellError: A question has no text, and `reference` is 0.
    """
    found = [text_of(attack, question, metric, reference) for question in questions]
    missing = sum(text is None for text in found)
    if missing and reference == 0:
        targeted = isinstance(attack, ApgdTextTargeted)
        raise CellError(
            f"{attack.label}: {missing} of {len(found)} questions have no "
            + ("target; give the attack a `target`" if targeted else "right answer")
        )
    return found


def has_said(text: str, target: str) -> bool:
    """Return whether a target is in a text as whole words, whatever the letters' case.

    A "snowboard" says no "no", which RobustVLM's search for letters would find in it.
    """
    words = r"\s+".join(map(re.escape, target.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None


def reached(
    attack: AnyAttack, questions: Sequence[Question], texts: Sequence[str]
) -> NDArray[np.bool_] | None:
    """Return which texts have what an attack wants said, `[n]`; None where it names nothing."""
    if not isinstance(attack, ApgdTextTargeted):
        return None
    wanted = [target or "" for target in texts_of(attack, questions, "")]
    return np.array(list(map(has_said, texts, wanted)), np.bool_)
