"""R-Adapt+: optimise the anchor, and nothing else, on a few adversarial images."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from radapt.adapted import Mix, adapt
from radapt.anchor import Anchor
from radapt.checkpoint import load_state, save_atomically
from radapt.filters import PAPER_SIZE
from radapt.fingerprint import fingerprint
from radapt.fit_task import FitOptions, FitTask, seeded
from radapt.tower import normalisation


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of a fit's log.

    Attributes:
        epoch: Number, from 1.
        loss: Mean training loss.
        held_out: Mean loss on the held-out adversarial images; None without any.
        seconds: Time of this epoch.
    """

    epoch: int
    loss: float
    held_out: float | None
    seconds: float


def fit_anchor(
    tower: nn.Module,
    images: Tensor,
    *,
    start: Anchor,
    alpha: float,
    cutoff: float | None,
    options: FitOptions | None = None,
    labels: Tensor | None = None,
    text: Tensor | None = None,
    mix: Mix = "interpolate",
    cutoff_at: int | None = PAPER_SIZE,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    checkpoint: Path | None = None,
    report: Callable[[Epoch], None] | None = None,
) -> Anchor:
    """Fit an anchor with which adversarial images embed as their clean originals do.

    Args:
        tower: The frozen tower, taking normalised pixels.
        images: Clean images in [0,1], `[n,3,h,w]`, of the tower's size; on any device.
        start: The anchor to begin from.
        alpha: As for `adapt`; the anchor is fitted for this value.
        cutoff: As for `adapt`.
        options: Loss, attack, optimiser, early stopping.
        labels: Class of each image, `[n]`; for the loss `ce` only.
        text: Normalised class vectors, `[k,d]`; for the loss `ce` only.
        mix: As for `adapt`.
        cutoff_at: As for `adapt`.
        mean: Mean of the tower's normalisation, per channel; its own when not given
            (`radapt.tower.normalisation`).
        std: Deviation of the tower's normalisation, likewise.
        checkpoint: File that holds the state after each epoch; where it exists the fit
            goes on from it, to the same anchor as an unbroken one.
        report: Called after each epoch, before its checkpoint: a fit that is stopped in between
            reports that epoch again.

    Returns:
        The fitted anchor, in single precision, on the tower's device.

    Raises:
        ValueError: The anchor would have no effect (alpha 0), `ce` lacks labels or text,
            images are not in [0,1], the checkpoint belongs to another fit, or the loss is no
            number any more.
    """
    chosen = options or FitOptions()
    if alpha == 0:
        raise ValueError("alpha: got 0; the anchor has no effect there, so none can be fitted")
    if "ce" in (chosen.loss, chosen.attack_loss) and (labels is None or text is None):
        raise ValueError("loss: got ce; it needs labels and text")
    if not images.is_floating_point() or float(images.min()) < 0 or float(images.max()) > 1:
        raise ValueError(
            f"images: got {images.dtype} up to {float(images.max()):g}; allowed: floats in [0,1]"
        )
    device = next(tower.parameters()).device
    # the optimiser's steps would be lost in half precision, whatever the tower's is
    value = start.value.detach().to(device, torch.float32, copy=True).requires_grad_(True)
    adapted = adapt(
        tower,
        # adapt() keeps the very tensor that it is given, so optimising it in place suffices
        Anchor(value, start.tower, start.size, start.origin),
        alpha=alpha,
        cutoff=cutoff,
        mix=mix,
        cutoff_at=cutoff_at,
        mean=mean,
        std=std,
    )
    scaling = normalisation(tower, mean, std)
    task = FitTask(tower, adapted, images, labels, text, chosen, *scaling)
    order = torch.randperm(len(images), generator=seeded(chosen.seed))
    count = round(chosen.held_out * len(images))
    judges, trained = order[:count], order[count:]
    static = None if chosen.refresh else task.static()
    optimiser = (
        torch.optim.Adam([value], lr=chosen.lr)
        if chosen.optimiser == "adam"
        else torch.optim.SGD([value], lr=chosen.lr, momentum=0.9)
    )
    state = _State(0, value.detach().clone(), math.inf, 0)
    identity = f"{chosen}|{alpha}|{cutoff}|{mix}|{cutoff_at}|{scaling}"
    if checkpoint is not None:
        identity += f"|{fingerprint(tower, start.value, images, labels, text)}"
    if checkpoint is not None and checkpoint.exists():
        state = _restore(checkpoint, identity, value, optimiser)
    while state.epoch < chosen.epochs and not _tired(state, chosen):
        started = time.monotonic()
        parts = torch.randperm(len(trained), generator=seeded(chosen.seed, state.epoch, 1))
        batches = [trained[part] for part in parts.split(chosen.batch)]
        total = torch.zeros((), device=device)
        for index, rows in enumerate(batches):
            done = (state.epoch + index / len(batches)) / chosen.epochs
            for group in optimiser.param_groups:
                group["lr"] = chosen.rate(done)
            loss = task.loss(rows, static, (state.epoch, index + 2)).mean()
            optimiser.zero_grad()
            loss.backward(inputs=[value])
            optimiser.step()
            total += loss.detach() * len(rows)
        held = _judged(task, judges, static) if count else None
        mean_loss = float(total) / len(trained)
        if not math.isfinite(mean_loss):
            raise ValueError(f"the loss of epoch {state.epoch + 1} is {mean_loss}; is lr too high?")
        state = state.after(value, held)
        if report is not None:  # before the checkpoint, so that no epoch goes unreported
            report(Epoch(state.epoch, mean_loss, held, time.monotonic() - started))
        if checkpoint is not None:
            _save(checkpoint, identity, state, value, optimiser)
    best = value.detach() if not count else state.best
    used = f"alpha {alpha:g}, cutoff {'none' if cutoff is None else f'{cutoff:g}'}, mix {mix}"
    origin = f"for {used}: {chosen.words(len(trained))} from {start.origin}"
    return Anchor(best, start.tower, start.size, origin)


@dataclass(frozen=True, slots=True)
class _State:
    """Where a fit stands: epochs done, the best anchor yet, its loss, epochs without a better."""

    epoch: int
    best: Tensor
    least: float
    waited: int

    def after(self, value: Tensor, held: float | None) -> "_State":
        """Return the state one epoch later."""
        if held is None or held < self.least:
            least = math.inf if held is None else held
            return _State(self.epoch + 1, value.detach().clone(), least, 0)
        return _State(self.epoch + 1, self.best, self.least, self.waited + 1)


def _tired(state: _State, options: FitOptions) -> bool:
    return options.patience is not None and state.waited >= options.patience


def _judged(task: FitTask, rows: Tensor, static: Tensor | None) -> float:
    parts = rows.split(task.options.batch)
    losses = [task.loss(part, static, (0, 1)).detach() for part in parts]
    return float(torch.cat(losses).mean())


def _save(
    path: Path, identity: str, state: _State, value: Tensor, optimiser: torch.optim.Optimizer
) -> None:
    kept = {
        "identity": identity,
        "epoch": state.epoch,
        "best": state.best,
        "least": state.least,
        "waited": state.waited,
        "value": value.detach(),
        "optimiser": optimiser.state_dict(),
    }
    save_atomically(kept, path)


def _restore(path: Path, identity: str, value: Tensor, optimiser: torch.optim.Optimizer) -> _State:
    kept = load_state(path, value.device)
    if kept["identity"] != identity:
        raise ValueError(
            f"{path}: the state of another fit, of other settings, images or weights "
            f"({kept['identity']}, not {identity}); choose another file or remove it"
        )
    with torch.no_grad():
        value.copy_(kept["value"])
    optimiser.load_state_dict(kept["optimiser"])
    return _State(kept["epoch"], kept["best"], kept["least"], kept["waited"])
