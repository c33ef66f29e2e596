"""The loss that fitting an anchor minimises: of an adapted tower on adversarial images."""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from radapt.objectives import RobustLoss, cosine_loss, fare_loss, on_images, tecoa_loss
from radapt.options import check_word
from radapt.pgd import pgd, uniform_start
from radapt.tower import embedding, normalise

Loss = Literal["l2", "cosine", "ce"]
Optimiser = Literal["adam", "sgd"]
Decay = Literal["cosine", "constant"]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Options that R-Adapt's paper does not state; the defaults are the most likely choices.

    The paper says that only the anchor is optimised, on 2,000 adversarial images, and shows the
    white-image anchor as the start. Objective, optimiser and attack are not published.

    Attributes:
        loss: Training loss: `l2` is FARE's squared L2 distance to the clean embedding, `cosine`
            is 1 - cosine to it, `ce` is the cross-entropy of a zero-shot classifier.
        attack_loss: Loss that the attack maximises; None for the training loss.
        refresh: True crafts images at each step against the adapted tower; False crafts them
            once against the unadapted tower.
        eps: Radius of the Linf attack in [0,1] pixels.
        steps: Number of attack steps of size 2.5 eps / steps.
        epochs: Number of passes over the images.
        batch: Number of images per optimiser step.
        optimiser: `adam`, or `sgd` with momentum 0.9.
        lr: Peak learning rate.
        decay: `cosine` lowers the learning rate to zero along half a cosine, `constant` does not.
        held_out: Fraction of the images that is not trained on, in [0,1). The anchor with the
            lowest loss on these images is returned; with 0, the last anchor.
        patience: Number of epochs without improvement after which the fit stops; None never
            stops early.
        seed: Seed of the attack's starts, the order of images and the held-out split.
    """

    loss: Loss = "l2"
    attack_loss: Loss | None = None
    refresh: bool = False
    eps: float = 4 / 255
    steps: int = 10
    epochs: int = 10
    batch: int = 100
    optimiser: Optimiser = "adam"
    lr: float = 1e-2
    decay: Decay = "cosine"
    held_out: float = 0.0
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: An option's value is not allowed.
        """
        check_word("loss", self.loss, Loss)
        check_word("attack_loss", self.attack_loss or self.loss, Loss)
        check_word("optimiser", self.optimiser, Optimiser)
        check_word("decay", self.decay, Decay)
        for name in ("steps", "epochs", "batch", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: got {value}; allowed: 1 or more")
        if not 0 < self.eps <= 1:
            raise ValueError(f"eps: got {self.eps:g}; allowed: above 0 and at most 1, as in 4/255")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out: got {self.held_out:g}; allowed: from 0 to below 1")
        if self.patience is not None and not self.held_out:
            raise ValueError(f"patience: got {self.patience}; it needs held_out above 0")

    def rate(self, done: float) -> float:
        """Return the learning rate after a fraction `done` of the fit."""
        return self.lr * (0.5 * (1 + math.cos(math.pi * done)) if self.decay == "cosine" else 1)

    def words(self, images: int) -> str:
        """Return a description of the fit for an anchor's metadata."""
        crafted = "refreshed" if self.refresh else "static"
        attack = f"{self.attack_loss or self.loss} attack, eps {self.eps * 255:g}/255"
        return f"fitted on {images} images ({self.loss}; {crafted} {attack}; seed {self.seed})"


@dataclass(frozen=True, slots=True)
class FitTask:
    """Computes the losses of a fit.

    Attributes:
        tower: The frozen tower.
        adapted: The adapted tower.
        images: Clean images `[n,3,h,w]` in [0,1].
        labels: Class labels `[n]`; for the loss `ce` only.
        text: Normalised class vectors `[k,d]`; for the loss `ce` only.
        options: The options of the fit.
        mean: Mean of the tower's normalisation per channel.
        std: Standard deviation of the tower's normalisation per channel.
    """

    tower: nn.Module
    adapted: nn.Module
    images: Tensor
    labels: Tensor | None
    text: Tensor | None
    options: FitOptions
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def loss(self, rows: Tensor, static: Tensor | None, seed: tuple[int, int]) -> Tensor:
        """Return the losses `[b]` of the adapted tower on adversarial images of some rows."""
        if static is None:
            attacked = self.craft(self.adapted, rows, seed)
        else:
            attacked = self.take(static, rows)
        return self.bind_loss(self.options.loss, rows)(self.embed(self.adapted, attacked))

    def static(self) -> Tensor:
        """Return adversarial images of all rows against the unadapted tower, on their device."""
        parts = torch.arange(len(self.images)).split(self.options.batch)
        crafted = [self.craft(self.tower, rows, (0, int(rows[0]))) for rows in parts]
        return torch.cat([part.to(self.images) for part in crafted])

    def craft(self, model: nn.Module, rows: Tensor, seed: tuple[int, int]) -> Tensor:
        """Return adversarial images of some rows against a model."""
        options = self.options
        clean = self.take(self.images, rows)
        loss = self.bind_loss(options.attack_loss or options.loss, rows)
        return pgd(
            on_images(loss, lambda pixels: self.embed(model, pixels)),
            clean,
            eps=options.eps,
            step=2.5 * options.eps / options.steps,
            steps=options.steps,
            start=uniform_start(clean, options.eps, seeded(options.seed, *seed)),
        )

    def bind_loss(self, kind: Loss, rows: Tensor) -> RobustLoss:
        """Return a loss with the rows' clean embeddings, or their labels, bound to it."""
        if kind == "ce":
            assert self.labels is not None and self.text is not None
            labels = self.take(self.labels, rows)
            return tecoa_loss(self.text.to(labels.device), labels)
        with torch.no_grad():
            target = self.embed(self.tower, self.take(self.images, rows))
        return fare_loss(target) if kind == "l2" else cosine_loss(target)

    def embed(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Return a tower's embeddings of [0,1] pixels in fp32."""
        inputs = normalise(pixels, self.mean, self.std)
        return embedding(model, inputs.to(next(self.tower.parameters()).dtype)).float()

    def take(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return some rows of a tensor, on the tower's device."""
        return values[rows.to(values.device)].to(next(self.tower.parameters()).device)


def seeded(*parts: int) -> torch.Generator:
    """Return a random generator seeded with a combination of numbers."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
