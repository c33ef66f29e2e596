"""The numeric precisions at which an attack runs, one after another."""

from bench.core.types import Mode
from bench.suite.specs import AnyAttack, NativeSpec, Precision


def stages(attack: AnyAttack, mode: Mode) -> tuple[Precision, ...]:
    """Return the precisions of an attack's stages; a stage attacks images not broken before it.

    In mode `success` the last stage is fp32. It attacks the images that are still predicted
    correctly in fp32 after the low-precision stage, and only then does an image count as robust.
    In mode `full` there is one stage.

    fp32 means the precision in which the model was built, which may be half precision for a
    vision-language model. The last stage then has the same precision as the first. It is still no
    repetition: it starts at the best point of the first stage and attacks the best reference.
    """
    if not isinstance(attack, NativeSpec) or attack.precision == "fp32":
        return ("fp32",)
    if mode == "success" and attack.confirm:
        return (attack.precision, "fp32")
    return (attack.precision,)
