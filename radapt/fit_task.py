"""What fitting an anchor minimises: the loss of an adapted tower on images under attack."""

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
    """The choices that R-Adapt leaves open; the defaults are the likeliest reading of it.

    The paper says that only the anchor is optimised, on 2,000 adversarial images, and draws
    it as starting from the white-image anchor. Objective, optimiser and attack are not
    published.

    Attributes:
        loss: What is minimised: FARE's squared L2 to the clean embedding, one minus the
            cosine to it, or the cross-entropy of a zero-shot classifier.
        attack_loss: What the attack maximises; the same when not given.
        refresh: Craft anew against the adapted tower at each step, rather than once
            against the unadapted one.
        eps: Radius of the attack in [0,1] pixels (Linf).
        steps: Steps of the attack, each of 2.5 eps / steps.
        epochs: Passes over the images.
        batch: Images per step of the optimiser.
        optimiser: Adam, or SGD with momentum 0.9.
        lr: Peak learning rate.
        decay: Whether the rate falls to zero along half a cosine, or stays.
        held_out: Share of the images that is not trained on but judges each epoch; the
            best epoch's anchor is kept. At 0 the last one is.
        patience: Epochs without a better one after which the fit stops; None for all.
        seed: Seed of starts, order and split.
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
        """Refuse words that would be taken for others, and numbers that fit nothing.

        Raises:
            ValueError: With the option's name, what was given and what is allowed.
        """
        check_word("loss", self.loss, Loss)
        check_word("attack_loss", self.attack_loss or self.loss, Loss)
        check_word("optimiser", self.optimiser, Optimiser)
        check_word("decay", self.decay, Decay)
        for name in ("steps", "epochs", "batch", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: got {value}; allowed: 1 and more")
        if not 0 < self.eps <= 1:
            raise ValueError(f"eps: got {self.eps:g}; allowed: up to 1, as in 4/255")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out: got {self.held_out:g}; allowed: 0 up to, not with, 1")
        if self.patience is not None and not self.held_out:
            raise ValueError(f"patience: got {self.patience}; it needs held_out, which judges")

    def rate(self, done: float) -> float:
        """Return the learning rate when a share `done` of the fit is behind."""
        return self.lr * (0.5 * (1 + math.cos(math.pi * done)) if self.decay == "cosine" else 1)

    def words(self, images: int) -> str:
        """Return what an anchor's metadata says of its fit."""
        crafted = "refreshed" if self.refresh else "static"
        attack = f"{self.attack_loss or self.loss} attack, eps {self.eps * 255:g}/255"
        return f"fitted on {images} images ({self.loss}; {crafted} {attack}; seed {self.seed})"


@dataclass(frozen=True, slots=True)
class FitTask:
    """Towers and images, and how an image's loss under attack comes from them."""

    tower: nn.Module
    adapted: nn.Module
    images: Tensor
    labels: Tensor | None
    text: Tensor | None
    options: FitOptions
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def loss(self, rows: Tensor, static: Tensor | None, seed: tuple[int, int]) -> Tensor:
        """Return the losses of the adapted tower on some images under attack, `[b]`."""
        if static is None:
            attacked = self.craft(self.adapted, rows, seed)
        else:
            attacked = self.take(static, rows)
        return self.bound(self.options.loss, rows)(self.embed(self.adapted, attacked))

    def static(self) -> Tensor:
        """Return all images attacked on the unadapted tower, where the images lie."""
        parts = torch.arange(len(self.images)).split(self.options.batch)
        crafted = [self.craft(self.tower, rows, (0, int(rows[0]))) for rows in parts]
        return torch.cat([part.to(self.images) for part in crafted])

    def craft(self, model: nn.Module, rows: Tensor, seed: tuple[int, int]) -> Tensor:
        """Attack some images on a model."""
        options = self.options
        clean = self.take(self.images, rows)
        loss = self.bound(options.attack_loss or options.loss, rows)
        return pgd(
            on_images(loss, lambda pixels: self.embed(model, pixels)),
            clean,
            eps=options.eps,
            step=2.5 * options.eps / options.steps,
            steps=options.steps,
            start=uniform_start(clean, options.eps, seeded(options.seed, *seed)),
        )

    def bound(self, kind: Loss, rows: Tensor) -> RobustLoss:
        """Return a loss that knows the clean images' embeddings, or their labels."""
        if kind == "ce":
            assert self.labels is not None and self.text is not None
            labels = self.take(self.labels, rows)
            return tecoa_loss(self.text.to(labels.device), labels)
        with torch.no_grad():
            target = self.embed(self.tower, self.take(self.images, rows))
        return fare_loss(target) if kind == "l2" else cosine_loss(target)

    def embed(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Return a tower's embeddings of [0,1] pixels, in single precision."""
        inputs = normalise(pixels, self.mean, self.std)
        return embedding(model, inputs.to(next(self.tower.parameters()).dtype)).float()

    def take(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return some rows, on the tower's device."""
        return values[rows.to(values.device)].to(next(self.tower.parameters()).device)


def seeded(*parts: int) -> torch.Generator:
    """Return a generator of its own for each combination of numbers."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
