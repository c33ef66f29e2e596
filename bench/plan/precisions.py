"""At which precisions an attack runs, one after another."""

from bench.core.types import Mode
from bench.suite.specs import AnyAttack, NativeSpec, Precision


def stages(attack: AnyAttack, mode: Mode) -> tuple[Precision, ...]:
    """Return the precisions at which an attack runs, each on what the earlier ones left.

    In mode `success` fp32 comes last, on all that low precision did not break as judged in
    fp32, and an image counts as robust only after it. A craft that others are scored on is
    made once.

    fp32 is the precision of the model as it was built. One that answers in words may be in half
    precision: the last run then computes much as the first, but goes on from its best point, about
    the reference that served best, and is no repetition.
    """
    if not isinstance(attack, NativeSpec) or attack.precision == "fp32":
        return ("fp32",)
    if mode == "success" and attack.confirm:
        return (attack.precision, "fp32")
    return (attack.precision,)
