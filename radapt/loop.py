"""A resumable training loop: a step is a function of its number, so a checkpoint is enough."""

import csv
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from radapt.atomic_write import write_atomically
from radapt.checkpoint import load_state, save_atomically
from radapt.options import check_word

Optimiser = Literal["adamw", "sgd"]
Decay = Literal["weights", "all"]
COLUMNS = ("step", "loss", "lr", "seconds", "clean", "robust")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up to the peak, then half a cosine down to `floor` times it (open_clip's).

    Attributes:
        steps: Number of optimiser steps in all.
        warmup: Number of steps of warm-up.
        lr: Peak learning rate.
        weight_decay: Decay, of weights with two or more dimensions or of all.
        optimiser: AdamW, or SGD with momentum 0.9.
        betas: AdamW's.
        decay: What decays: `weights` leaves out biases, norms and the class token.
        floor: Least learning rate, as a share of the peak.
        clip: Largest norm of the gradient; None for any.
        accumulate: Parts whose gradients make one step.
    """

    steps: int
    warmup: int
    lr: float
    weight_decay: float
    optimiser: Optimiser = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    decay: Decay = "weights"
    floor: float = 0.0
    clip: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse words and numbers that would mean something else than they say."""
        check_word("optimiser", self.optimiser, Optimiser)
        check_word("decay", self.decay, Decay)
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup: got {self.warmup}; allowed: 0 to {self.steps - 1} (steps)")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / (self.steps - self.warmup)
        return self.lr * max(0.5 * (1 + math.cos(math.pi * done)), self.floor)


def train(
    name: str,
    module: nn.Module,
    loss_of_part: Callable[[nn.Module, int], Tensor],
    schedule: Schedule,
    out: Path,
    accelerator: Accelerator,
    *,
    identity: str = "",
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    evaluate_every: int = 25,
    checkpoint_seconds: float = 120,
    log_every: int = 20,
) -> None:
    """Train `module` in place, going on from `out/<name>.pt` where an earlier run stopped.

    When it returns, nothing of the accelerator is left on the module.

    Losses go to `out/<name>.csv`, each the mean over the steps since the row before and
    over processes. A resumed run continues that file as an unbroken one would have
    written it, seconds excepted.

    Args:
        name: Name of the stage: its files and its lines of progress.
        module: What is trained: parameters with `requires_grad`.
        loss_of_part: Maps the module, wrapped for several processes, and a part's number
            (a step has `schedule.accumulate` parts) to a scalar loss. All randomness in it
            must come from that number and the process's index, or a resumed run would
            differ from an unbroken one.
        schedule: Optimiser, steps and learning rate.
        out: Folder of the checkpoints and the log.
        accelerator: Devices, processes and precision.
        identity: All that the result depends on besides the schedule, in a word; a
            checkpoint of another one is refused.
        evaluate: Gives `clean` and `robust`, fractions, for the log.
        evaluate_every: Rows of the log between evaluations; one also ends the run.
        checkpoint_seconds: How often the state is saved, at the next row of the log.
        log_every: Steps per row of the log.

    Raises:
        ValueError: The checkpoint there belongs to a run with other settings, or accelerate
            accumulates gradients by itself.
    """
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            f"accelerate accumulates over {accelerator.gradient_accumulation_steps} steps beside "
            "the schedule; leave that to the schedule (ACCELERATE_GRADIENT_ACCUMULATION_STEPS=1)"
        )
    identity = hashlib.sha256(f"{schedule}|{identity}".encode()).hexdigest()[:16]
    optimiser = _optimiser(module, schedule)
    path, log = out / f"{name}.pt", out / f"{name}.csv"
    done = _restore(path, identity, module, optimiser)
    main = accelerator.is_main_process
    if main:
        _cut(log, done)
    model, driver = accelerator.prepare(module, optimiser)
    started = saved = time.monotonic()
    for row, first in enumerate(range(done, schedule.steps, log_every), done // log_every + 1):
        steps = range(first, min(first + log_every, schedule.steps))
        loss = _advance(model, driver, loss_of_part, schedule, steps, accelerator)
        last = steps.stop == schedule.steps
        due = evaluate is not None and (last or row % evaluate_every == 0)
        scores = evaluate(accelerator.unwrap_model(model)) if evaluate and due else {}
        if not main:
            continue
        now = time.monotonic()
        rate, spent = schedule.rate(steps.stop - 1), now - started
        _append(log, {"step": steps.stop, "loss": loss, "lr": rate, "seconds": spent, **scores})
        left = (schedule.steps - steps.stop) * spent / (steps.stop - done)
        print(
            f"{name}: step {steps.stop}/{schedule.steps}  loss {loss:.4f}"
            + "".join(f"  {key} {value:.1%}" for key, value in scores.items())
            + f"  {left / 60:.0f} min left",
            flush=True,
        )
        if now - saved > checkpoint_seconds or last:
            saved = now
            state = {"module": module.state_dict(), "optimiser": optimiser.state_dict()}
            save_atomically({**state, "step": steps.stop, "identity": identity}, path)
    accelerator.wait_for_everyone()
    # mixed precision replaces `forward` on the module itself; a copy of it, as adapt() makes,
    # would go on calling the original's
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    vars(module).pop("forward", None)


def _advance(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss_of_part: Callable[[nn.Module, int], Tensor],
    schedule: Schedule,
    steps: range,
    accelerator: Accelerator,
) -> float:
    """Take some steps and return their mean loss over all processes."""
    total = torch.zeros((), device=accelerator.device)
    for step in steps:
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        for part in range(schedule.accumulate):
            waits = part + 1 < schedule.accumulate  # gradients are summed over processes once
            with accelerator.no_sync(model) if waits else nullcontext():
                loss = loss_of_part(model, step * schedule.accumulate + part)
                accelerator.backward(loss / schedule.accumulate)
            total += loss.detach()  # no .item() here: the device would be waited for
        if schedule.clip is not None:
            accelerator.clip_grad_norm_(model.parameters(), schedule.clip)
        optimiser.step()
        optimiser.zero_grad()
    mean: Tensor = accelerator.reduce(total / (len(steps) * schedule.accumulate), "mean")
    return float(mean)


def _restore(path: Path, identity: str, module: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = load_state(path)
    if state["identity"] != identity:
        raise ValueError(
            f"{path}: a checkpoint of a run with other settings ({state['identity']}, not "
            f"{identity}); choose another folder or remove it"
        )
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _cut(log: Path, step: int) -> None:
    """Drop the rows after a step, and one cut short: the run that goes on writes them again."""
    rows: list[dict[str, str]] = []
    if log.exists():
        with log.open(newline="") as file:
            whole = (row for row in csv.DictReader(file) if None not in row.values())
            rows = [row for row in whole if int(row["step"]) <= step]
    write_atomically(log, partial(_write, rows))


def _write(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _append(log: Path, row: Mapping[str, float]) -> None:
    with log.open("a", newline="") as file:
        csv.DictWriter(file, COLUMNS).writerow(row)


def _optimiser(module: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    def trained(decayed: bool) -> list[nn.Parameter]:
        every = schedule.decay == "all"
        return [
            p for p in module.parameters() if p.requires_grad and (every or p.ndim > 1) == decayed
        ]

    groups = [
        {"params": trained(True), "weight_decay": schedule.weight_decay},
        {"params": trained(False), "weight_decay": 0.0},
    ]
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=schedule.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=schedule.lr, betas=schedule.betas)
