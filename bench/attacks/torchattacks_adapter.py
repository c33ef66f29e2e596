"""Attacks of the library torchattacks, selected by class name."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.attacks.library_chunks import NORMS, as_module, in_chunks
from bench.catalogue.torchattacks_list import TORCHATTACKS
from bench.core.types import Budget, Classifier, Mode


@dataclass(frozen=True, slots=True)
class TorchAttack:
    """An attack of torchattacks with an `eps` argument.

    It does the same in both modes. Attacks that return clean images when they fail are rejected in
    mode `full` before this is called (`bench.plan.attack_limits`).

    Attributes:
        name: Name of the class in torchattacks.
        args: Its arguments other than `eps` and `norm`.
        chunk: Number of images per call.
    """

    name: str
    args: dict[str, Any]
    chunk: int

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
        import torchattacks

        norm = {"norm": NORMS[budget.norm]} if len(TORCHATTACKS[self.name].norms) > 1 else {}
        with contextlib.redirect_stdout(io.StringIO()):  # the constructor may print a warning
            attack = getattr(torchattacks, self.name)(
                as_module(model), eps=budget.eps, **norm, **self.args
            )
        attack.set_device(images.device)

        def perturb(x: Tensor, y: Tensor, seed: int) -> Tensor:
            torch.manual_seed(seed)
            if hasattr(attack, "seed"):  # APGD, FAB and Square set their own seed
                attack.seed = seed
            return attack(x, y)  # type: ignore[no-any-return]

        return in_chunks(perturb, images, labels, seeds, self.chunk)
