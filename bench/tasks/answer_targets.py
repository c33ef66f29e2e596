"""The texts that an attack wants a model to say or not to say, and whether it said them."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.exchanges import Exchange
from bench.suite.metrics import CAPTIONING, metric_of
from bench.suite.specs import AnyAttack, ApgdTextTargeted


def references(exchange: Exchange, metric: str) -> tuple[str, ...]:
    """Return the different right answers, in the order in which they are attacked.

    Captions are in the order of the dataset, answers in that of how many annotators gave them, as
    in RobustVLM. Where a dataset has no answers, the name of the object is the only one.
    """
    known = exchange.answers or exchange.names[:1]
    if metric_of(metric).task is CAPTIONING:
        return tuple(dict.fromkeys(known))
    return tuple(dict(Counter(known).most_common()))


def attack_text(
    attack: AnyAttack, exchange: Exchange, metric: str, reference: int = 0
) -> str | None:
    """Return the text that an attack wants a model to say, or not to say; None if none is known.

    Args:
        attack: The attack, no ensemble.
        exchange: The question, with its answers.
        metric: Name of the metric.
        reference: Number of the right answer, of those of `references`.
    """
    if isinstance(attack, ApgdTextTargeted):
        return attack.target or exchange.decoy or None
    known = references(exchange, metric)
    return known[reference] if reference < len(known) else None


def attack_texts(
    attack: AnyAttack, exchanges: Sequence[Exchange], metric: str, reference: int = 0
) -> list[str | None]:
    """Return the texts of `attack_text` for some exchanges.

    Raises:
        CellError: An exchange has no text, and `reference` is 0.
    """
    found = [attack_text(attack, exchange, metric, reference) for exchange in exchanges]
    missing = sum(text is None for text in found)
    if missing and reference == 0:
        targeted = isinstance(attack, ApgdTextTargeted)
        raise CellError(
            f"{attack.label}: {missing} of {len(found)} questions have no "
            + ("target; give the attack a `target`" if targeted else "right answer")
        )
    return found


def contains_target(text: str, target: str) -> bool:
    """Return whether a target is in a text as whole words, whatever the letters' case.

    A "snowboard" says no "no", which RobustVLM's search for letters would find in it.
    """
    words = r"\s+".join(map(re.escape, target.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None


def targets_reached(
    attack: AnyAttack, exchanges: Sequence[Exchange], texts: Sequence[str]
) -> NDArray[np.bool_] | None:
    """Return which texts have what an attack wants said, `[n]`; None where it names nothing."""
    if not isinstance(attack, ApgdTextTargeted):
        return None
    wanted = [target or "" for target in attack_texts(attack, exchanges, "")]
    return np.array(list(map(contains_target, texts, wanted)), np.bool_)
