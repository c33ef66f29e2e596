"""AutoAttack and its attacks in the authors' code, from the package pyautoattack."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.attacks.library_chunks import NORMS, MeanOfPasses, as_module, in_chunks
from bench.attacks.losses import margin
from bench.attacks.targets import wrong_classes
from bench.core.types import Budget, Classifier, Mode
from bench.suite.specs import PyAutoAttack

_LOGGER = logging.getLogger("auto-attack")  # the library logs its warnings here
_WARNING_FLAGS = {
    "randomized defense": "randomized",
    "probability distribution": "probabilities",
    "zero gradient": "zero-gradients",
    "dynamic defense": "dynamic",
    "Square Attack has decreased": "square-better",
}


@dataclass(frozen=True, slots=True)
class OfficialAttack:
    """AutoAttack, or a selection of its attacks.

    Attributes:
        spec: The attack's entry of the suite; it has no more targets than the classes allow.
        judges: Number of passes whose mean logits Square takes, above 1 for a random model. It then
            continues on misclassified images.
    """

    spec: PyAutoAttack
    judges: int = 1

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
        """Attack every image; see `bench.core.types.Attack`.

        Mode `full` does not use the library's evaluation, because that returns the clean image
        if an image was already misclassified or the attack failed. Other models would then look
        more robust than they are.
        """
        module = as_module(model)

        def perturb(x: Tensor, y: Tensor, seed: int) -> Tensor:
            attacks = _ChunkAttacks(self.spec, module, budget, seed, x.device, self.judges)
            return attacks.evaluation(x, y) if mode == "success" else attacks.strongest(x, y)

        return in_chunks(perturb, images, labels, seeds, self.spec.chunk)


@dataclass(frozen=True, slots=True)
class _ChunkAttacks:
    """The library's attacks, created for one chunk of images."""

    spec: PyAutoAttack
    module: nn.Module
    budget: Budget
    seed: int
    device: torch.device
    judges: int = 1

    def evaluation(self, images: Tensor, labels: Tensor) -> Tensor:
        """Run the library's own evaluation with the settings of the spec."""
        from pyautoattack import AutoAttack

        torch.manual_seed(self.seed)  # a random model does not repeat the passes that score it
        custom = self.spec.attack not in ("standard", "rand")
        suite = AutoAttack(
            self.module,
            attacks=list(self.spec.members) if custom else None,
            version="custom" if custom else self.spec.attack,
            norm=NORMS[self.budget.norm],
            eps=self.budget.eps,
            seed=self.seed,
            device=self.device,
        )
        suite.apgd, suite.apgd_targeted = self._apgd("ce"), self._apgd_targeted()
        suite.fab.n_iter, suite.fab.n_restarts = self.spec.steps, self.spec.restarts
        suite.fab.n_target_classes = self.spec.targets
        suite.square.n_queries = self.spec.queries
        if self.judges > 1:
            suite.square, suite.model = self._square(), self._averaged()
        adversarial, _ = suite.run_standard_evaluation(images, labels, batch_size=len(images))
        return adversarial  # type: ignore[no-any-return]

    def strongest(self, images: Tensor, labels: Tensor) -> Tensor:
        """Run every attack on every image; return the point of the largest margin per image."""
        best, highest = images, torch.full_like(images[:, 0, 0, 0], -torch.inf)
        for name in self.spec.members:
            torch.manual_seed(self.seed)
            for points in self._points_of(name, images, labels):
                with torch.no_grad():
                    loss = margin(torch.inf)(self.module(points), labels, labels)
                better = loss > highest
                best = torch.where(better[:, None, None, None], points, best)
                highest = torch.where(better, loss, highest)
        return best

    def _points_of(self, name: str, images: Tensor, labels: Tensor) -> Iterator[Tensor]:
        if name == "apgd-t":
            attack = self._apgd_targeted()
            attack.init_hyperparam(images)
            with torch.no_grad():
                clean = self.module(images)
            for target in wrong_classes(clean, labels, self.spec.targets).unbind(dim=1):
                attack.y_target = target
                yield attack.attack_single_run(images, labels)[0]
        elif name == "square":
            attack = self._square()
            attack.init_hyperparam(images)
            yield attack.attack_single_run(images, labels)[1]
        else:
            yield self._apgd(name.removeprefix("apgd-")).perturb(images, labels, best_loss=True)

    def _common(self) -> dict[str, Any]:
        norm, eps = NORMS[self.budget.norm], self.budget.eps
        return {"norm": norm, "eps": eps, "seed": self.seed, "device": self.device}

    def _apgd(self, loss: str) -> Any:
        from pyautoattack.autopgd_base import APGDAttack

        # the constructor computes the schedule from `n_iter`, so setting `n_iter` later is too late
        return APGDAttack(
            self.module,
            n_iter=self.spec.steps,
            n_restarts=self.spec.restarts,
            loss=loss,
            eot_iter=self.spec.passes,
            logger=_LOGGER,
            **self._common(),
        )

    def _apgd_targeted(self) -> Any:
        from pyautoattack.autopgd_base import APGDAttack_targeted

        return APGDAttack_targeted(
            self.module,
            n_iter=self.spec.steps,
            n_target_classes=self.spec.targets,
            eot_iter=self.spec.passes,
            logger=_LOGGER,
            **self._common(),
        )

    def _averaged(self) -> nn.Module:
        """Return the model, with mean logits if it is random; APGD averages by itself."""
        return MeanOfPasses(self.module, self.judges) if self.judges > 1 else self.module

    def _square(self) -> Any:
        """Return Square as in AutoAttack, except that it continues on misclassified images."""
        from pyautoattack.square import SquareAttack

        attack = SquareAttack(
            self._averaged(), n_queries=self.spec.queries, resc_schedule=False, **self._common()
        )
        measure = attack.margin_and_loss

        def positive_margins(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            margins, losses = measure(x, y)
            return torch.ones_like(margins), losses  # Square stops at margins of at most zero

        attack.margin_and_loss = positive_margins
        return attack


@contextmanager
def library_warnings() -> Iterator[set[str]]:
    """Collect the library's warnings about the model as flags instead of printing them."""
    found: set[str] = set()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            found.update(flag for part, flag in _WARNING_FLAGS.items() if part in text)

    handler, propagate = Collect(logging.WARNING), _LOGGER.propagate
    _LOGGER.addHandler(handler)
    _LOGGER.propagate = False
    try:
        yield found
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.propagate = propagate
