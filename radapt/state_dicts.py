"""Read the weights of a checkpoint in any known layout.

`LAYOUTS` has one entry per layout. Layouts may be nested: the result of an entry is matched against
all layouts again.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from radapt.weight_files import read_content

State = Mapping[str, Any]
Layout = Callable[[State], State | None]  # returns the inner state; None for another layout

_AVERAGED = re.compile("(^|_)ema(_|$)")  # as in state_dict_ema, model_ema, ema_model
_DEPTH = 8  # of nested layouts, since a dictionary of a file may contain itself


def under(key: str) -> Layout:
    """Return the layout of a training state with the weights under a key."""
    return lambda state: state[key] if _holds_weights(state.get(key)) else None


def prefixed(prefix: str) -> Layout:
    """Return the layout of weights whose names all start with a prefix, which is removed."""

    def inner(state: State) -> State | None:
        if not state or not all(name.startswith(prefix) for name in state):
            return None
        return {name.removeprefix(prefix): value for name, value in state.items()}

    return inner


def without(*parts: str) -> Layout:
    """Return the layout of weights with parts in their names, at any place, that are removed."""

    def inner(state: State) -> State | None:
        names = [".".join(p for p in name.split(".") if p not in parts) for name in state]
        changed = names != list(state) and len(set(names)) == len(names)
        return dict(zip(names, state.values(), strict=True)) if changed else None

    return inner


def _averaged_state(state: State) -> State | None:
    keys = [key for key in state if _AVERAGED.search(key) and _holds_weights(state[key])]
    return state[keys[0]] if len(keys) == 1 else None


def _averaged_module(state: State) -> State | None:
    first = next(iter(state), "").partition(".")[0]
    return prefixed(f"{first}.")(state) if _AVERAGED.search(first) else None


def _averaged_by_torch(state: State) -> State | None:
    counter = "n_averaged"
    weights = {name: value for name, value in state.items() if name != counter}
    return prefixed("module.")(weights) if counter in state else None


# The known layouts, tried in this order. A file with weights under several keys is refused. TeCoA
# and TGA-ZSR have an empty `state_dict` besides the tower's.
LAYOUTS: dict[str, Layout] = {
    "a training state of TeCoA or TGA-ZSR": under("vision_encoder_state_dict"),
    "a training state of Lightning, open_clip or timm": under("state_dict"),
    "a training state with `model_state_dict`": under("model_state_dict"),
    "a training state of DeiT or MAE": under("model"),
    "a training state of DeepSpeed's `module`": under("module"),
    "a training state with only averaged weights (EMA)": _averaged_state,
    "weights that Lightning's WeightAveraging has not averaged": under("current_model_state"),
    "weights of DataParallel": prefixed("module."),
    "weights of torch.compile": without("_orig_mod"),
    "weights of FSDP or activation checkpointing": without(
        "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"
    ),
    "weights of a Lightning module with the attribute `model`": prefixed("model."),
    "weights of a Lightning module with only averaged weights (EMA)": _averaged_module,
    "weights of torch's AveragedModel": _averaged_by_torch,
}
_PROMPT = "add_prompter"  # TeCoA's prompt in token space; of no size if it was not trained
VISION = "visual."  # prefix of the vision tower's weights in CLIPs of open_clip and OpenAI


def read_state(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Read the weights of a checkpoint without running code of the file.

    Args:
        path: A safetensors file, a TorchScript archive, or a torch file with weights and inert
            values.

    Returns:
        The weights by name, and whether the file has another form than a dictionary of weights.

    Raises:
        ValueError: The file is missing, unsafe to load, has no weights, or has several copies of
            them.
    """
    state = found = read_content(path)
    for _ in range(_DEPTH):
        if (inner := _inner(found, path)) is None:
            break
        found = inner
    if not _named(found) or not any(isinstance(each, Tensor) for each in found.values()):
        keys = ", ".join(map(str, list(found)[:5])) if isinstance(found, dict) else ""
        content = f"keys: {keys or 'none'}" if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"{path}: has no weights by name; it has {content}")
    modules = {name.partition(".")[0] for name in found}
    if averaged := [name for name in sorted(modules) if _AVERAGED.search(name)]:
        others = sorted(modules.difference(averaged))
        raise ValueError(_several(path, [*averaged, *others], "start their names with"))
    return found, found is not state


def load_tower(tower: nn.Module, path: Path) -> None:
    """Load a vision tower's weights from a checkpoint of the tower or of a whole CLIP.

    RobustVLM publishes state dicts of open_clip's tower. TeCoA and TGA-ZSR publish training states
    with the state dict of OpenAI's tower, whose parameters have the same names.

    Raises:
        ValueError: The file is missing, unsafe to load, or of another architecture.
    """
    state, _ = read_state(path)
    if not _in_a_clip(tower.state_dict()) and _in_a_clip(state):
        state = {
            name.removeprefix(VISION): value
            for name, value in state.items()
            if name.startswith(VISION)
        }
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: {mismatch(error)}") from error


def mismatch(error: RuntimeError) -> str:
    """Return what differs between a model and a state dict, in at most 300 characters.

    Args:
        error: The error of `load_state_dict`, whose message lists all names.
    """
    text = str(error)
    parts = []
    for title, what in (("Missing", "missing"), ("Unexpected", "not in the model")):
        line = re.search(rf'{title} key\(s\) in state_dict: (".*")', text)
        if line and (names := re.findall('"([^"]+)"', line[1])):
            parts.append(f"{len(names)} {what} ({_short(names[0])})")
    shapes = re.findall(r"size mismatch for (\S+): .*?Size\((.*?)\).*?Size\((.*?)\)", text)
    if shapes:
        name, found, needed = shapes[0]
        shown = f"{_short(name)}: {found} in the file, {needed} in the model"
        parts.append(f"{len(shapes)} with another shape ({shown})")
    reason = ", ".join(parts) or " ".join(text.split())
    return f"weights of another architecture: {reason}"[:300]


def _inner(state: Any, path: Path) -> State | None:
    """Return the inner state by the first layout that matches; None if none matches."""
    if not _named(state):
        return None
    found = [inner for read in LAYOUTS.values() if (inner := read(state)) is not None]
    keys = [key for key, value in state.items() if any(value is inner for inner in found)]
    keys += [_PROMPT] if _holds_weights(state.get(_PROMPT)) else []
    if len(keys) > 1:
        raise ValueError(_several(path, keys, "lie under"))
    return found[0] if found else None


def _several(path: Path, keys: list[str], where: str) -> str:
    shown = ", ".join(map(_short, keys[:4]))
    return (
        f"{path}: has several sets of weights, which {where} {shown}; a checkpoint must have one "
        "set, so save the wanted set into a file of its own with torch.save"
    )


def _named(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(name, str) for name in state)


def _holds_weights(value: Any, depth: int = _DEPTH) -> bool:
    """Return whether a value is a dictionary with numbers in tensors, at some depth."""
    return isinstance(value, dict) and any(
        each.numel() > 0
        if isinstance(each, Tensor)
        else depth > 0 and _holds_weights(each, depth - 1)
        for each in value.values()
    )


def _in_a_clip(state: State) -> bool:
    return any(name.startswith(VISION) for name in state)


def _short(name: str) -> str:
    return name if len(name) <= 48 else f"...{name[-45:]}"
