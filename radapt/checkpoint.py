"""Writing weights and training states."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a file beside `path`, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    write(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def save_atomically(state: Mapping[str, object], path: Path) -> None:
    """Write a training state so that a reader sees the old one or the new one, never a part."""
    write_atomically(path, lambda part: torch.save(state, part))
