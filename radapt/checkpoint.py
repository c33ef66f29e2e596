"""Writing weights and training states."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from radapt.atomic_write import write_atomically


def save_atomically(state: Mapping[str, object], path: Path) -> None:
    """Write a training state so that a reader sees the old one or the new one, never a part."""
    write_atomically(path, lambda part: torch.save(state, part))


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return a training state that `save_atomically` wrote.

    Raises:
        ValueError: The file is damaged. It is left in place: who trained decides whether to begin
            again.
        OSError: It is not there, or cannot be read.
    """
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
        _ = state["identity"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: damaged ({why}); remove it to begin again") from error
    return dict(state)
