"""A resumable training loop: step t is a function of (seed, t), so a checkpoint is enough."""

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, then half a cosine down to 1% of the peak.

    Attributes:
        steps: Number of optimiser steps in all.
        warmup: Number of steps of warm-up.
        lr: Peak learning rate of AdamW.
        weight_decay: Decay of weights with two or more dimensions.
    """

    steps: int
    warmup: int
    lr: float
    weight_decay: float

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.lr * max(min(1.0, (step + 1) / max(self.warmup, 1)) * cosine, 0.01)


def train(
    name: str,
    module: nn.Module,
    loss_of_step: Callable[[int], Tensor],
    schedule: Schedule,
    out: Path,
    *,
    checkpoint_seconds: float = 120,
    report_seconds: float = 30,
) -> None:
    """Train `module` in place, going on from `out/<name>.pt` where an earlier run stopped.

    Args:
        name: Name of the stage: its checkpoint's file and its line of progress.
        module: What is trained: parameters with `requires_grad`.
        loss_of_step: Maps a step's number to its scalar loss. All randomness in it must
            come from that number, or a resumed run would differ from an unbroken one.
        schedule: Steps and learning rate.
        out: Folder of the checkpoints.
        checkpoint_seconds: How often the state is saved.
        report_seconds: How often a line of progress is printed.
    """
    optimiser = _adamw(module, schedule)
    path = out / f"{name}.pt"
    done = 0
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        done = int(state["step"])
    started = saved = reported = time.monotonic()
    first, smooth = done, float("nan")
    for step in range(done, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        optimiser.zero_grad()
        loss = loss_of_step(step)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
        now = time.monotonic()
        if now - reported > report_seconds or step + 1 == schedule.steps:
            reported = now
            left = (schedule.steps - step - 1) * (now - started) / (step + 1 - first)
            print(
                f"{name}: step {step + 1}/{schedule.steps}  loss {smooth:.3f}  "
                f"{left / 60:.0f} min left",
                flush=True,
            )
        if now - saved > checkpoint_seconds or step + 1 == schedule.steps:
            saved = now
            save_atomically(
                {
                    "module": module.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                },
                path,
            )


def save_atomically(state: dict[str, object], path: Path) -> None:
    """Write a checkpoint so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def _adamw(module: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    def trained(decayed: bool) -> Iterable[nn.Parameter]:
        return [p for p in module.parameters() if p.requires_grad and (p.ndim > 1) == decayed]

    groups = [
        {"params": trained(True), "weight_decay": schedule.weight_decay},
        {"params": trained(False), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98))
