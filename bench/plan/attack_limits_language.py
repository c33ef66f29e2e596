"""What an attack can do where images are asked about in words, and in a mode."""

from collections.abc import Sequence

from bench.core.errors import CellSkip
from bench.core.types import Mode
from bench.suite.specs import AnyAttack, ApgdText, Ensemble, singles


def fit_words(
    spec: AnyAttack, sources: Sequence[str], speaking: Sequence[bool], mode: Mode
) -> tuple[AnyAttack, tuple[str, ...]]:
    """Return the attack as its sources allow, and flags of what was changed.

    An image that is crafted for others is crafted once, so that of several references the first
    is attacked (`references=1`).

    Args:
        spec: The attack.
        sources: Names of the models that images are crafted on.
        speaking: Which of them answer in words.
        mode: How images are crafted.

    Raises:
        CellSkip: The attack is not defined here.
    """
    if any(speaking) and not all(speaking):
        raise CellSkip("models that answer in words and such as do not have no loss in common")
    if not speaking[0]:
        if spec.goes_by not in ("embedding", "value features"):
            raise CellSkip(
                f"{spec.label} goes by what a model says; {', '.join(sources)} says nothing"
            )
        return spec, ()
    if any(member.goes_by == "value features" for member in singles(spec)):
        raise CellSkip(f"{spec.label} needs a CLIP, whose texts its patches are held against")
    if spec.goes_by == "embedding" and len(sources) > 1:
        raise CellSkip(
            f"{spec.label}: how many visual tokens an image has differs between models, so that "
            "several are attacked as one by their texts alone"
        )
    if mode == "full" and isinstance(spec, Ensemble):
        raise CellSkip(
            f"{spec.label}: its members are about different texts, and only answers say which of "
            "them went best; for others to be scored on, each is an attack of its own"
        )
    if mode == "full" and isinstance(spec, ApgdText) and spec.references > 1:
        return spec.model_copy(update={"references": 1}), ("references=1",)
    return spec, ()
