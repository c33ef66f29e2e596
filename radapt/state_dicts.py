"""Reading the weights of a checkpoint, in whatever layout it was published.

`LAYOUTS` has one entry per layout. What an entry returns is read again, so that a file may have
several of them, one in another.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

State = Mapping[str, Any]
Layout = Callable[[State], State | None]  # what a state holds; None where it has another layout

# TeCoA and TGA-ZSR keep their best accuracy as a number of numpy, which torch
# reads only where all that makes it up is named.
_scalar: Any = np.float64(0).__reduce__()[0]
_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64)),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_scalar, "numpy.core.multiarray.scalar"),
]


def under(key: str) -> Layout:
    """Return the layout of a training state that holds the weights under a key."""

    def inner(state: State) -> State | None:
        found = state.get(key)
        return found if isinstance(found, dict) and found else None

    return inner


def prefixed(prefix: str) -> Layout:
    """Return the layout of weights whose names all begin with a prefix, which is taken away."""

    def inner(state: State) -> State | None:
        if not state or not all(name.startswith(prefix) for name in state):
            return None
        return {name.removeprefix(prefix): value for name, value in state.items()}

    return inner


# What a reader may meet, tried in this order. Of several states that a file holds, the first
# that is named here counts: TeCoA and TGA-ZSR have an empty `state_dict` beside the tower's.
LAYOUTS: dict[str, Layout] = {
    "a training state of TeCoA or TGA-ZSR": under("vision_encoder_state_dict"),
    "a training state of Lightning, open_clip or timm": under("state_dict"),
    "a training state with `model_state_dict`": under("model_state_dict"),
    "a training state of DeiT or MAE": under("model"),
    "a training state of DeepSpeed's `module`": under("module"),
    "weights of DataParallel": prefixed("module."),
    "weights of torch.compile": prefixed("_orig_mod."),
    "weights of a Lightning module with the attribute `model`": prefixed("model."),
}
VISION = "visual."  # begins the names of the vision tower in a CLIP of open_clip and of OpenAI


def read_state(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Read the weights of a checkpoint; no code of the file runs.

    Args:
        path: A file of safetensors, or of torch with weights and numbers alone.

    Returns:
        The weights by name, and whether the file has one of `LAYOUTS` and not plain weights.

    Raises:
        ValueError: The file is missing, unsafe to load, or holds no weights.
    """
    state = found = _content(path)
    while (inner := _inner(found)) is not None:
        found = inner
    if not _named(found) or not any(isinstance(each, Tensor) for each in found.values()):
        held = ", ".join(map(str, list(found)[:5])) if isinstance(found, dict) else ""
        what = f"keys: {held or 'none'}" if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"{path}: holds no weights by name; it holds {what}")
    return found, found is not state


def load_tower(tower: nn.Module, path: Path) -> None:
    """Load a vision tower's weights from a checkpoint of the tower or of a whole CLIP.

    RobustVLM publishes the state of open_clip's tower. TeCoA and TGA-ZSR publish training states
    that hold the state of OpenAI's tower; its parameters have the same names.

    Raises:
        ValueError: The file is missing, unsafe to load, or of another architecture.
    """
    state, _ = read_state(path)
    in_a_clip = {name: f"{VISION}{name}" for name in tower.state_dict()}
    if state.keys() >= set(in_a_clip.values()):
        state = {name: state[whole] for name, whole in in_a_clip.items()}
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()
        raise ValueError(f"{path}: another architecture: {' '.join(first[:2])}") from error


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such checkpoint") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError) as error:
        raise ValueError(f"{path}: not a checkpoint of weights alone ({error})") from error


def _named(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(name, str) for name in state)


def _inner(state: Any) -> State | None:
    """Return what a state holds by the first layout that it has; None where it has none."""
    if not _named(state):
        return None
    return next((inner for read in LAYOUTS.values() if (inner := read(state)) is not None), None)
