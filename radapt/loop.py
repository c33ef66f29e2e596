"""A resumable training loop: a step depends only on the state and the number of the step."""

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
from radapt.checkpoint import damage_named, load_state, save_atomically
from radapt.options import check_word

Optimiser = Literal["adamw", "sgd"]
Decay = Literal["weights", "all"]
COLUMNS = ("step", "loss", "lr", "seconds", "clean", "robust")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Optimiser and learning rate: linear warm-up, then half a cosine, as in open_clip.

    Attributes:
        steps: Total number of optimiser steps.
        warmup: Number of warm-up steps.
        lr: Peak learning rate.
        weight_decay: Weight decay.
        optimiser: `adamw`, or `sgd` with momentum 0.9.
        betas: Betas of AdamW.
        decay: Parameters with weight decay: `all`, or `weights` for those with two or more
            dimensions, which excludes biases, norms and the class token.
        floor: Minimum learning rate as a fraction of the peak, in [0,1].
        clip: Maximum norm of the gradient; None for no clipping.
        accumulate: Number of parts (batches) whose gradients are added up for a step.
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
        """Check the settings.

        Raises:
            ValueError: A setting's value is not allowed.
        """
        check_word("optimiser", self.optimiser, Optimiser)
        check_word("decay", self.decay, Decay)
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup: got {self.warmup}; allowed: 0 to {self.steps - 1} (steps)")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step; steps are numbered from 0."""
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
    """Train `module` in place; resume from the checkpoint `out/<name>.pt`, if it exists.

    The accelerator's wrappers are removed from the module at the end.

    The log is `out/<name>.csv`. A row's loss is the mean over all processes and over the steps
    since the previous row. A resumed run writes the same log as a run without a break, except for
    the seconds.

    Args:
        name: Name of the run, for its files and progress lines.
        module: The module; its parameters with `requires_grad` are trained.
        loss_of_part: Maps the module (wrapped for several processes) and the number of a part
            to a scalar loss; a step has `schedule.accumulate` parts. All its randomness must
            depend only on this number and the process's index, else a resumed run would differ
            from a run without a break.
        schedule: Optimiser, number of steps and learning rate.
        out: Folder of the checkpoint and the log.
        accelerator: Devices, processes and precision.
        identity: Text that identifies all that the result depends on besides the schedule. A
            checkpoint with another identity is an error.
        evaluate: Returns the accuracies `clean` and `robust` in [0,1] for the log.
        evaluate_every: Number of log rows between evaluations; the last row always has one.
        checkpoint_seconds: Minimum time between checkpoints in seconds.
        log_every: Number of steps per log row.

    Raises:
        ValueError: The checkpoint belongs to a run with other settings, or accelerate is set to
            accumulate gradients.
    """
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            f"accelerate accumulates over {accelerator.gradient_accumulation_steps} steps in "
            "addition to the schedule; set ACCELERATE_GRADIENT_ACCUMULATION_STEPS=1 and use the "
            "schedule's `accumulate`"
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
    # mixed precision sets `forward` on the module itself; a copy of the module, as adapt() makes
    # it, would still call the original's `forward`
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
    """Take optimiser steps and return their mean loss over all processes."""
    total = torch.zeros((), device=accelerator.device)
    for step in steps:
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        for part in range(schedule.accumulate):
            more = part + 1 < schedule.accumulate  # gradients are synchronised after the last part
            with accelerator.no_sync(model) if more else nullcontext():
                loss = loss_of_part(model, step * schedule.accumulate + part)
                accelerator.backward(loss / schedule.accumulate)
            total += loss.detach()  # .item() here would wait for the device
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
            f"{path}: is the checkpoint of a run with other settings ({state['identity']}, not "
            f"{identity}); choose another folder or remove it"
        )
    with damage_named(path):
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])


def _cut(log: Path, step: int) -> None:
    """Remove log rows after a step, and an incomplete row; the resumed run writes them again."""
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
