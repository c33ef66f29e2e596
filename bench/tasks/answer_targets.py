"""The texts that an attack makes more or less likely, and whether a model said them."""

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
    """Return the distinct reference answers, in the order in which they are attacked.

    Captions keep the order of the dataset. Answers are sorted by the number of annotators who gave
    them, most first, as in RobustVLM. If a dataset has no answers, the name of the object is the
    only reference.
    """
    known = question.answers or question.names[:1]
    if metric_of(metric).task is CAPTIONING:
        return tuple(dict.fromkeys(known))
    return tuple(dict(Counter(known).most_common()))


def attack_text(
    attack: AnyAttack, question: Question, metric: str, reference: int = 0
) -> str | None:
    """Return the text that an attack is about; None if the question has no such text.

    A targeted attack makes the model say its target. Other attacks make a reference answer less
    likely.

    Args:
        attack: The attack; not an ensemble.
        question: The question with its answers.
        metric: Name of the metric.
        reference: Index of the reference answer in `references`.
    """
    if isinstance(attack, ApgdTextTargeted):
        return attack.target or question.decoy or None
    known = references(question, metric)
    return known[reference] if reference < len(known) else None


def attack_texts(
    attack: AnyAttack, questions: Sequence[Question], metric: str, reference: int = 0
) -> list[str | None]:
    """Return the texts of `attack_text` for some questions.

    Raises:
        CellError: `reference` is 0 and an question has no text.
    """
    found = [attack_text(attack, question, metric, reference) for question in questions]
    missing = sum(text is None for text in found)
    if missing and reference == 0:
        targeted = isinstance(attack, ApgdTextTargeted)
        raise CellError(
            f"{attack.label}: {missing} of {len(found)} questions have no "
            + ("target; give the attack a `target`" if targeted else "right answer")
        )
    return found


def contains_target(text: str, target: str) -> bool:
    """Return whether a text contains a target as whole words; case does not count.

    RobustVLM searches for the letters instead, and would find the target "no" in "snowboard".
    """
    words = r"\s+".join(map(re.escape, target.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None


def targets_reached(
    attack: AnyAttack, questions: Sequence[Question], texts: Sequence[str]
) -> NDArray[np.bool_] | None:
    """Return which texts contain the attack's target, `[n]`; None if it has no target."""
    if not isinstance(attack, ApgdTextTargeted):
        return None
    wanted = [target or "" for target in attack_texts(attack, questions, "")]
    return np.array(list(map(contains_target, texts, wanted)), np.bool_)
