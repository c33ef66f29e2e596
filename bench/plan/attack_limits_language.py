"""Attack settings on datasets of questions, adapted to the source models and the mode."""

from collections.abc import Sequence

from bench.core.errors import CellSkip
from bench.core.types import Mode
from bench.suite.specs import AnyAttack, ApgdText, Ensemble, members_of


def fit_language(
    spec: AnyAttack, sources: Sequence[str], answering: Sequence[bool], mode: Mode
) -> tuple[AnyAttack, tuple[str, ...]]:
    """Return the attack with settings that its sources allow, and flags for the changes.

    In mode `full` one adversarial image is made per question, against the first reference only
    (flag `references=1`).

    Args:
        spec: The attack.
        sources: Names of the models that images are crafted on.
        answering: For each source, whether it answers in words.
        mode: Mode of the craft: `success` or `full`.

    Raises:
        CellSkip: The attack cannot run on these sources in this mode.
    """
    if any(answering) and not all(answering):
        raise CellSkip(
            "models that answer in words and models that do not have no loss in common, so they "
            "cannot be attacked together"
        )
    if not answering[0]:
        if spec.loss_input not in ("embedding", "value features"):
            raise CellSkip(
                f"{spec.label} needs a model that answers in words; {', '.join(sources)} does not"
            )
        return spec, ()
    if any(member.loss_input == "value features" for member in members_of(spec)):
        raise CellSkip(
            f"{spec.label} needs a CLIP model as source, because it compares image patches with "
            "texts"
        )
    if spec.loss_input == "embedding" and len(sources) > 1:
        raise CellSkip(
            f"{spec.label}: the source models differ in their number of visual tokens; to attack "
            "several models together, choose an attack whose loss uses their answers"
        )
    if mode == "full" and isinstance(spec, Ensemble):
        raise CellSkip(
            f"{spec.label}: its members attack different texts, so no common loss says which "
            "member's image is best for other models; list each member as an attack of its own"
        )
    if mode == "full" and isinstance(spec, ApgdText) and spec.references > 1:
        return spec.model_copy(update={"references": 1}), ("references=1",)
    return spec, ()
