"""Writing a training state so that a stopped run can be trusted to go on from it."""

import os
from pathlib import Path

import torch


def save_atomically(state: dict[str, object], path: Path) -> None:
    """Write a checkpoint so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)
