"""What an attacker who knows the defence may use."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import Name, Spec, as_list
from bench.suite.specs.model_base import Component

Components = Annotated[
    tuple[Component, ...],
    BeforeValidator(as_list),
    AfterValidator(lambda named: tuple(sorted(set(named)))),
]
Positive = Annotated[float, Field(gt=0)]


class Filter(Spec):
    """A Gaussian low-pass filter with the cutoff of `radapt`, in offsets at 224 pixels.

    Perturbations stay in the band that it passes; with `inverse` they are free, and gradients are
    divided by the filter instead, which `inverse` keeps finite.
    """

    cutoff: Positive
    inverse: Positive | None = None


class Backward(Spec):
    """The surrogate that gradients come from; the loss's value stays that of the model itself.

    It is the model `without` parts of R-Adapt (`filter`, `anchor`, or both: the base), or another
    `model` of the suite.
    """

    without: Components = ()
    model: Name | None = None

    @model_validator(mode="after")
    def _one_surrogate(self) -> Self:
        if bool(self.without) == (self.model is not None):
            raise PydanticCustomError("backward", "exactly one of `without` and `model` is needed")
        return self


def surrogate_faults(entries: Sequence[Any], models: Collection[Any]) -> Iterator[str]:
    """Say which surrogates of a suite's attacks are none of its models."""
    for place, entry in enumerate(entries):
        members = entry.get("attacks") if isinstance(entry, dict) else None
        listed = members if isinstance(members, list) else []
        paths = {f"attacks.{place}": entry}
        paths |= {f"attacks.{place}.attacks.{at}": member for at, member in enumerate(listed)}
        for path, attack in paths.items():
            backward = attack.get("backward") if isinstance(attack, dict) else None
            name = backward.get("model") if isinstance(backward, dict) else None
            if isinstance(name, str) and name not in models:
                declared = ", ".join(map(str, models)) or "none"
                yield f"{path}.backward.model: got {name!r}; declared models: {declared}"
