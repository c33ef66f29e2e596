"""What an attacker who knows the defence may use."""

from typing import Annotated

from pydantic import Field

from bench.specs.base import Spec

Positive = Annotated[float, Field(gt=0)]


class Filter(Spec):
    """A Gaussian low-pass filter with the cutoff of `radapt`, in offsets at 224 pixels.

    Perturbations stay in the band that it passes; with `inverse` they are free, and gradients are
    divided by the filter instead, which `inverse` keeps finite.
    """

    cutoff: Positive
    inverse: Positive | None = None
