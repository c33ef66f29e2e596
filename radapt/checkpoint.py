"""Writing weights and training states."""

from collections.abc import Mapping
from pathlib import Path

import torch

from radapt.atomic_write import write_atomically


def save_atomically(state: Mapping[str, object], path: Path) -> None:
    """Write a training state so that a reader sees the old one or the new one, never a part."""
    write_atomically(path, lambda part: torch.save(state, part))
