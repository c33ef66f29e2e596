"""Attacks of other libraries behind our protocol, in chunks of a fixed size.

These libraries draw random numbers per batch, so a chunk's size changes their answer: it
is part of the cell's identity, and each chunk is seeded from its first image.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import CellError
from bench.types import Budget, Classifier, Mode

_Perturb = Callable[[Tensor, Tensor, int], Tensor]
_SEED_LIMIT = 2**32  # numpy and the libraries take seeds below this


@dataclass(frozen=True, slots=True)
class OfficialApgd:
    """APGD-CE of the AutoAttack authors, as pyautoattack packages it.

    Attributes:
        steps: Iterations of one run.
        restarts: Runs; an image counts as broken if any run breaks it.
        chunk: Images per call.
    """

    steps: int
    restarts: int
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
        """Attack every image; see `bench.types.Attack`.

        In mode `full` the library's best-loss path is used: its evaluation hands back the
        clean image where it skipped or failed, which would fake robustness elsewhere.
        """
        from pyautoattack import AutoAttack
        from pyautoattack.autopgd_base import APGDAttack

        def evaluate(x: Tensor, y: Tensor, seed: int) -> Tensor:
            attack = AutoAttack(
                as_module(model),
                attacks=["apgd-ce"],
                version="custom",
                eps=budget.eps,
                seed=seed,
                device=x.device,
            )
            attack.apgd.n_iter = self.steps
            attack.apgd.n_restarts = self.restarts
            adversarial, _ = attack.run_standard_evaluation(x, y, batch_size=self.chunk)
            return adversarial  # type: ignore[no-any-return]

        def best_loss(x: Tensor, y: Tensor, seed: int) -> Tensor:
            torch.manual_seed(seed)
            attack = APGDAttack(
                as_module(model),
                n_iter=self.steps,
                n_restarts=self.restarts,
                eps=budget.eps,
                seed=seed,
                device=x.device,
            )
            adversarial = attack.perturb(x, y, best_loss=True)
            return adversarial  # type: ignore[no-any-return]

        return _in_chunks(
            evaluate if mode == "success" else best_loss, images, labels, seeds, self.chunk
        )


@dataclass(frozen=True, slots=True)
class TorchAttack:
    """An attack of torchattacks with an `eps` argument; attacks every image in both modes.

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
        """Attack every image; see `bench.types.Attack`."""
        import torchattacks

        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds no weights
            try:
                attack = getattr(torchattacks, self.name)(
                    as_module(model), eps=budget.eps, **self.args
                )
            except TypeError as error:
                raise CellError(f"torchattacks.{self.name}: {error}") from error
        attack.set_device(images.device)

        def perturb(x: Tensor, y: Tensor, seed: int) -> Tensor:
            torch.manual_seed(seed)
            return attack(x, y)  # type: ignore[no-any-return]

        return _in_chunks(perturb, images, labels, seeds, self.chunk)


def _in_chunks(
    perturb: _Perturb, images: Tensor, labels: Tensor, seeds: Sequence[int], chunk: int
) -> Tensor:
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # both libraries seed the global generator
        parts = [
            perturb(images[at : at + chunk], labels[at : at + chunk], seeds[at] % _SEED_LIMIT)
            for at in range(0, len(images), chunk)
        ]
    return torch.cat(parts).detach()


def as_module(model: Classifier) -> nn.Module:
    """Return the classifier as the module that both libraries ask for, in evaluation mode."""
    return (model if isinstance(model, nn.Module) else _Module(model)).eval()


class _Module(nn.Module):
    def __init__(self, function: Classifier) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)
