"""Runs that are made on another model than the attacked one, alone or as the first of two."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from bench.attacks.apgd import Apgd
from bench.attacks.engine import NativeAttack
from bench.core.types import Budget, Classifier, Mode


@dataclass(frozen=True, slots=True)
class OnOther:
    """One run that is made on another model, with all its steps, whatever that model predicts.

    Attributes:
        attack: The run.
        other: The other model.
    """

    attack: NativeAttack
    other: Classifier

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        *,
        mode: Mode,
        seeds: Sequence[int],
    ) -> Tensor:
        """Attack every image; see `bench.core.types.Attack`."""
        return self.attack(self.other, images, labels, budget, mode="full", seeds=seeds)


@dataclass(frozen=True, slots=True)
class FromTransfer:
    """One run that is made on another model first, and then from its points without momentum.

    Attributes:
        attack: The run; its ascent is Auto-PGD.
        other: The other model.
    """

    attack: NativeAttack
    other: Classifier

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        *,
        mode: Mode,
        seeds: Sequence[int],
    ) -> Tensor:
        """Attack every image; see `bench.core.types.Attack`."""
        first = replace(self.attack, surrogate=None)
        starts = first(self.other, images, labels, budget, mode="full", seeds=seeds)
        assert isinstance(self.attack.ascent, Apgd)
        second = replace(self.attack, ascent=replace(self.attack.ascent, momentum=0.0))
        return second(model, images, labels, budget, mode=mode, seeds=seeds, starts=starts)
