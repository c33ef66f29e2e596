"""Attacks where models answer questions in words: what their sources and mode allow."""

from collections.abc import Sequence

from bench.core.errors import CellSkip
from bench.core.types import Mode
from bench.suite.specs import AnyAttack, ApgdText, Ensemble, members_of


def fit_words(
    spec: AnyAttack, sources: Sequence[str], speaking: Sequence[bool], mode: Mode
) -> tuple[AnyAttack, tuple[str, ...]]:
    """Return the attack as its sources allow, and flags of what was changed.

    An adversarial image for other targets is made once, and so about the first of several
    references (`references=1`).

    Args:
        spec: The attack.
        sources: Names of the models that images are crafted on.
        speaking: Which of them answer in words.
        mode: How images are crafted.

    Raises:
        CellSkip: The attack is not defined here.
    """
    if any(speaking) and not all(speaking):
        raise CellSkip("models that answer in words have no loss in common with models that do not")
    if not speaking[0]:
        if spec.loss_input not in ("embedding", "value features"):
            raise CellSkip(
                f"{spec.label} needs a model that answers in words; {', '.join(sources)} does not"
            )
        return spec, ()
    if any(member.loss_input == "value features" for member in members_of(spec)):
        raise CellSkip(f"{spec.label} needs a CLIP, whose patches it compares with texts")
    if spec.loss_input == "embedding" and len(sources) > 1:
        raise CellSkip(
            f"{spec.label}: models differ in their number of visual tokens, so several can only "
            "be attacked together by a loss of their answers"
        )
    if mode == "full" and isinstance(spec, Ensemble):
        raise CellSkip(
            f"{spec.label}: its members are about different texts, and only answers say which of "
            "them went best; for others to be scored on, each is an attack of its own"
        )
    if mode == "full" and isinstance(spec, ApgdText) and spec.references > 1:
        return spec.model_copy(update={"references": 1}), ("references=1",)
    return spec, ()
