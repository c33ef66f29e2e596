"""A test-time defence taken apart, so that checks can compare the model with its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from bench.core.types import Classifier
from bench.suite.specs import Component
from bench.suite.specs.model_base import Gradient

# what an attack's `backward: {without: ...}` names, by the gradient that is left
COMPONENTS: Mapping[Gradient, Component] = {"identity": "unrolling", "base": "defence"}


@dataclass(frozen=True, slots=True, eq=False)
class DefenceParts:
    """The parts of a model behind a test-time defence.

    Attributes:
        kind: Kind of the defence.
        base: The classifier that it defends.
        base_name: Name of the base.
        gradient: How gradients of the model are taken.
        others: The same model with its other gradients.
        random: Whether two outputs for an image differ, by this defence or one that it is over.
        tower: The image tower behind all defences; None if it is the user's own code.
    """

    kind: str
    base: Classifier
    base_name: str
    gradient: Gradient
    others: Mapping[Gradient, Classifier] = field(default_factory=dict)
    random: bool = False
    tower: nn.Module | None = None
