"""Reading and writing weights and training states."""

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

# The keys under which published checkpoints hold a vision tower's weights.
_TOWER_KEYS = ("vision_encoder_state_dict", "state_dict", "model", "module")


# TeCoA and TGA-ZSR keep their best accuracy as a number of numpy, which torch
# reads only where all that makes it up is named.
_scalar: Any = np.float64(0).__reduce__()[0]
_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64)),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_scalar, "numpy.core.multiarray.scalar"),
]


def load_tower(tower: nn.Module, path: Path) -> None:
    """Load a vision tower's weights: of RobustVLM, TeCoA, TGA-ZSR, or of `finetune`.

    RobustVLM publishes the state of open_clip's tower. TeCoA and TGA-ZSR publish training states
    that hold the state of OpenAI's tower; its parameters have the same names.

    Raises:
        ValueError: The file is missing, unsafe to load, or of another architecture.
    """
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such checkpoint") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a checkpoint of weights alone ({error})") from error
    for key in _TOWER_KEYS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds a {type(state).__name__}, not a state dict")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()
        raise ValueError(f"{path}: another architecture: {' '.join(first[:2])}") from error


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
