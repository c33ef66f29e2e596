"""Settings of Auto-PGD, with those of adaptive attacks, which use knowledge of the defence."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bench.core.suggestions import listed
from bench.suite.specs.attack_base import Count, RepeatedSpec, Share
from bench.suite.specs.base import Name, Spec, as_list
from bench.suite.specs.model_base import Component

Components = Annotated[
    tuple[Component, ...],
    BeforeValidator(as_list),
    AfterValidator(lambda names: tuple(sorted(set(names)))),
]
Positive = Annotated[float, Field(gt=0)]


class Filter(Spec):
    """A Gaussian low-pass filter, as in front of an R-Adapt model.

    Attributes:
        cutoff: Cutoff D0 of `radapt`'s filter, in frequency offsets at 224 pixels.
        inverse: Without it, perturbations are filtered, so that they stay in the pass band. With
            it, perturbations are free, and gradients are divided by the filter's response G. The
            quotient G / (G² + inverse) stays finite.
    """

    cutoff: Positive
    inverse: Positive | None = None


class Backward(Spec):
    """A surrogate for the gradients of the attacked model, as in BPDA.

    The value of the loss is computed with the attacked model.

    Attributes:
        without: What the gradient leaves out. `filter` and `anchor` are the components of R-Adapt.
            `defence` leaves a test-time defence out: the gradient is the base's at the image.
            `unrolling` leaves out how the defence's change of the image depends on the image: the
            gradient is the base's at the changed image (straight-through).
        model: Another model of the suite, which is the surrogate.
    """

    without: Components = ()
    model: Name | None = None

    @model_validator(mode="after")
    def _one_surrogate(self) -> Self:
        if bool(self.without) == (self.model is not None):
            raise PydanticCustomError(
                "backward", "exactly one of the keys `without` and `model` is needed"
            )
        return self


class Start(Spec):
    """Where a run starts: at the images of the same run on another model.

    Attributes:
        transfer: The other model of the suite.
    """

    transfer: Name


class SteppedSpec(RepeatedSpec):
    """Settings that PGD and Auto-PGD share.

    Attributes:
        source: `base` for images made on the base of the attacked model, with its outputs and
            gradients and all steps. None for the attacked model.
    """

    source: Literal["base"] | None = None

    @property
    def on_base(self) -> bool:
        """Whether `source` is `base`."""
        return self.source == "base"


class ApgdSpec(SteppedSpec):
    """Settings of Auto-PGD.

    Attributes:
        steps: Number of steps.
        rho: Fraction of steps that must raise the loss; with fewer the step size is halved.
        filter: The low-pass filter of the defence, which the attack's steps take into account.
        backward: The surrogate for the gradients.
    """

    steps: Count = 100
    rho: Share = 0.75
    filter: Filter | None = None
    backward: Backward | None = None

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.backward and self.source:
            raise PydanticCustomError("source", "use one of the keys `backward` and `source`")
        return self

    @property
    def surrogates(self) -> tuple[str, ...]:
        """The model that `backward` names."""
        name = self.backward.model if self.backward else None
        return (name,) if name else ()

    @property
    def forwards(self) -> int:
        """Forward passes of the attacked model: one per gradient of a surrogate, else none."""
        return self.gradients if self.backward else 0


class UntargetedApgdSpec(ApgdSpec):
    """Settings of untargeted Auto-PGD on classes or embeddings.

    Attributes:
        start: The model on which each run is made first. The run on the attacked model starts at
            the points that it found, and has no momentum.
    """

    start: Start | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.start and self.source:
            raise PydanticCustomError("source", "use one of the keys `start` and `source`")
        return self

    @property
    def surrogates(self) -> tuple[str, ...]:
        """The models that `backward` and `start` name."""
        return (*super().surrogates, *((self.start.transfer,) if self.start else ()))

    @property
    def forwards(self) -> int:
        """As without `start`, because its runs use the other model."""
        return super().gradients if self.backward else 0

    @property
    def gradients(self) -> int:
        """Number of gradients for an image that withstands all runs, with those for `start`."""
        return super().gradients * (2 if self.start else 1)


def surrogate_faults(entries: Sequence[Any], models: Collection[Any]) -> Iterator[str]:
    """Yield a fault for each surrogate or start of an attack that is not a model of the suite.

    Args:
        entries: The entries of the key `attacks`, as read from YAML.
        models: Names of the suite's models.
    """
    for place, entry in enumerate(entries):
        members = entry.get("attacks") if isinstance(entry, dict) else None
        inside = members if isinstance(members, list) else []
        paths = {f"attacks.{place}": entry}
        paths |= {f"attacks.{place}.attacks.{at}": member for at, member in enumerate(inside)}
        for path, attack in paths.items():
            for key, inner in (("backward", "model"), ("start", "transfer")):
                given = attack.get(key) if isinstance(attack, dict) else None
                name = given.get(inner) if isinstance(given, dict) else None
                if isinstance(name, str) and name not in models:
                    declared = listed(name, models)
                    yield f"{path}.{key}.{inner}: got {name!r}; declared models: {declared}"
