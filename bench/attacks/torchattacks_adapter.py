"""Attacks of torchattacks, by the name of their class."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.attacks.library_chunks import NORMS, as_module, in_chunks
from bench.core.types import Budget, Classifier, Mode
from bench.suite.specs.torchattacks_list import TORCHATTACKS


@dataclass(frozen=True, slots=True)
class TorchAttack:
    """An attack of torchattacks with an `eps` argument.

    It does the same in both modes; those that hand back clean images never come here in
    mode `full` (`bench.plan.attack_limits`).

    Attributes:
        name: Its class in torchattacks.
        args: Its other arguments.
        chunk: Images per call.
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
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds no weights
            attack = getattr(torchattacks, self.name)(
                as_module(model), eps=budget.eps, **norm, **self.args
            )
        attack.set_device(images.device)

        def perturb(x: Tensor, y: Tensor, seed: int) -> Tensor:
            torch.manual_seed(seed)
            if hasattr(attack, "seed"):  # its APGD, FAB and Square seed themselves
                attack.seed = seed
            return attack(x, y)  # type: ignore[no-any-return]

        return in_chunks(perturb, images, labels, seeds, self.chunk)
