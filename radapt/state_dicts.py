"""Read the weights of a checkpoint in any known layout.

`LAYOUTS` has one entry per layout. Layouts may be nested: the result of an entry is matched against
all layouts again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

State = Mapping[str, Any]
Layout = Callable[[State], State | None]  # returns the inner state; None for another layout

# Checkpoints of TeCoA and TGA-ZSR have their best accuracy as a NumPy scalar, which torch loads
# safely only if all functions and types that construct it are allowed.
_scalar: Any = np.float64(0).__reduce__()[0]
_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64)),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_scalar, "numpy.core.multiarray.scalar"),
]


def under(key: str) -> Layout:
    """Return the layout of a training state with the weights under a key."""

    def inner(state: State) -> State | None:
        found = state.get(key)
        return found if isinstance(found, dict) and found else None

    return inner


def prefixed(prefix: str) -> Layout:
    """Return the layout of weights whose names all start with a prefix, which is removed."""

    def inner(state: State) -> State | None:
        if not state or not all(name.startswith(prefix) for name in state):
            return None
        return {name.removeprefix(prefix): value for name, value in state.items()}

    return inner


# The known layouts, tried in this order. If a file has several states, the first layout wins:
# TeCoA and TGA-ZSR have an empty `state_dict` besides the tower's.
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
VISION = "visual."  # prefix of the vision tower's weights in CLIPs of open_clip and OpenAI


def read_state(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Read the weights of a checkpoint without running code of the file.

    Args:
        path: A safetensors file, or a torch file with only weights and numbers.

    Returns:
        The weights by name, and whether the file had a layout of `LAYOUTS` (False: plain weights).

    Raises:
        ValueError: The file is missing, unsafe to load, or has no weights.
    """
    state = found = _content(path)
    outer: list[State] = []  # a damaged state may contain itself
    while (inner := _inner(found)) is not None and not any(inner is each for each in outer):
        found = inner
        outer.append(inner)
    if not _named(found) or not any(isinstance(each, Tensor) for each in found.values()):
        keys = ", ".join(map(str, list(found)[:5])) if isinstance(found, dict) else ""
        content = f"keys: {keys or 'none'}" if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"{path}: has no weights by name; it has {content}")
    return found, found is not state


def load_tower(tower: nn.Module, path: Path) -> None:
    """Load a vision tower's weights from a checkpoint of the tower or of a whole CLIP.

    RobustVLM publishes state dicts of open_clip's tower. TeCoA and TGA-ZSR publish training states
    with the state dict of OpenAI's tower, whose parameters have the same names.

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
        raise ValueError(
            f"{path}: weights of another architecture: {' '.join(first[:2])}"
        ) from error


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such checkpoint") from error
    except OSError:
        raise
    except Exception as error:  # pickle raises nearly every type for damaged bytes
        raise ValueError(f"{path}: not a checkpoint with only weights ({error})") from error


def _named(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(name, str) for name in state)


def _inner(state: Any) -> State | None:
    """Return the inner state by the first layout that matches; None if none matches."""
    if not _named(state):
        return None
    return next((inner for read in LAYOUTS.values() if (inner := read(state)) is not None), None)
