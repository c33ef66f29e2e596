"""R-Adapt+: optimise only the anchor, on a few adversarial images."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from radapt.adapted import Mix, adapt
from radapt.anchor import Anchor
from radapt.checkpoint import damage_named, load_state, save_atomically
from radapt.filters import PAPER_SIZE
from radapt.fingerprint import fingerprint
from radapt.fit_task import FitOptions, FitTask, seeded
from radapt.tower import normalisation


@dataclass(frozen=True, slots=True)
class Epoch:
    """A row of a fit's log.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean training loss.
        held_out: Mean loss on the held-out adversarial images; None if no images are held out.
        seconds: Time of the epoch in seconds.
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
    """Fit an anchor so that adversarial images have the embeddings of their clean originals.

    Args:
        tower: The frozen tower; its inputs are normalised pixels.
        images: Clean images `[n,3,h,w]` in [0,1], of the tower's size, on any device.
        start: The initial anchor.
        alpha: Strength of the anchor, as for `adapt`; the anchor is fitted for this value.
        cutoff: Cutoff of the filter, as for `adapt`.
        options: Loss, attack, optimiser, early stopping.
        labels: Class labels `[n]`; needed only for the loss `ce`.
        text: Normalised class vectors `[k,d]`; needed only for the loss `ce`.
        mix: As for `adapt`.
        cutoff_at: As for `adapt`.
        mean: Mean of the tower's normalisation per channel; None for the tower's own
            (`radapt.tower.normalisation`).
        std: Standard deviation of the tower's normalisation per channel; None for its own.
        checkpoint: File for the state after each epoch. If it exists, the fit resumes from it and
            ends with the same anchor as a fit without a break.
        report: Called after each epoch, before its checkpoint. If the fit is stopped between the
            two, the resumed fit reports the epoch again.

    Returns:
        The fitted anchor in fp32, on the tower's device.

    Raises:
        ValueError: Alpha is 0, so the anchor has no effect; `ce` is used without labels or
            text; images are not in [0,1]; the checkpoint belongs to another fit; or the loss is
            not finite.
    """
    chosen = options or FitOptions()
    if alpha == 0:
        raise ValueError("alpha: got 0, with which the anchor has no effect; allowed: not 0")
    if "ce" in (chosen.loss, chosen.attack_loss) and (labels is None or text is None):
        raise ValueError("loss: got ce; it needs labels and text")
    if not images.is_floating_point() or float(images.min()) < 0 or float(images.max()) > 1:
        raise ValueError(
            f"images: got {images.dtype} from {float(images.min()):g} to {float(images.max()):g}; "
            "allowed: floats in [0,1]"
        )
    device = next(tower.parameters()).device
    # fp32 even for a tower in half precision, in which the optimiser's steps would round to zero
    value = start.value.detach().to(device, torch.float32, copy=True).requires_grad_(True)
    adapted = adapt(
        tower,
        # adapt() uses this tensor without copying it, so it can be optimised in place
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
    held_out, trained = order[:count], order[count:]
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
    while state.epoch < chosen.epochs and not _out_of_patience(state, chosen):
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
        held = _held_out_loss(task, held_out, static) if count else None
        mean_loss = float(total) / len(trained)
        if not math.isfinite(mean_loss):
            raise ValueError(f"the loss of epoch {state.epoch + 1} is {mean_loss}; try a lower lr")
        state = state.after(value, held)
        if report is not None:  # before the checkpoint, so that every epoch is reported
            report(Epoch(state.epoch, mean_loss, held, time.monotonic() - started))
        if checkpoint is not None:
            _save(checkpoint, identity, state, value, optimiser)
    best = value.detach() if not count else state.best
    used = f"alpha {alpha:g}, cutoff {'none' if cutoff is None else f'{cutoff:g}'}, mix {mix}"
    origin = f"for {used}: {chosen.words(len(trained))} from {start.origin}"
    return Anchor(best, start.tower, start.size, origin)


@dataclass(frozen=True, slots=True)
class _State:
    """State of a fit.

    Attributes:
        epoch: Number of finished epochs.
        best: The anchor with the lowest held-out loss.
        least: Its held-out loss.
        waited: Number of epochs since then.
    """

    epoch: int
    best: Tensor
    least: float
    waited: int

    def after(self, value: Tensor, held: float | None) -> "_State":
        """Return the state after an epoch with the anchor `value` and the held-out loss `held`."""
        if held is None or held < self.least:
            least = math.inf if held is None else held
            return _State(self.epoch + 1, value.detach().clone(), least, 0)
        return _State(self.epoch + 1, self.best, self.least, self.waited + 1)


def _out_of_patience(state: _State, options: FitOptions) -> bool:
    return options.patience is not None and state.waited >= options.patience


def _held_out_loss(task: FitTask, rows: Tensor, static: Tensor | None) -> float:
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
            f"{path}: the state of another fit, with other settings, images or weights "
            f"({kept['identity']}, not {identity}); choose another file or remove it"
        )
    with damage_named(path), torch.no_grad():
        value.copy_(kept["value"])
        optimiser.load_state_dict(kept["optimiser"])
        return _State(kept["epoch"], kept["best"], kept["least"], kept["waited"])
