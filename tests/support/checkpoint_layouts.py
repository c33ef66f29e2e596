"""Weights written in each layout that `radapt.state_dicts` reads."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

Write = Callable[[Mapping[str, Any]], dict[str, Any]]


def _under(key: str) -> Write:
    return lambda state: {"epoch": 3, key: dict(state), "optimizer": {"lr": torch.tensor(0.1)}}


def _prefixed(prefix: str) -> Write:
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


# by the names of `LAYOUTS`; a missing one fails the tests that go through those
WRAPPED: dict[str, Write] = {
    "a training state of TeCoA or TGA-ZSR": _under("vision_encoder_state_dict"),
    "a training state of Lightning, open_clip or timm": _under("state_dict"),
    "a training state with `model_state_dict`": _under("model_state_dict"),
    "a training state of DeiT or MAE": _under("model"),
    "a training state of DeepSpeed's `module`": _under("module"),
    "weights of DataParallel": _prefixed("module."),
    "weights of torch.compile": _prefixed("_orig_mod."),
    "weights of a Lightning module with the attribute `model`": _prefixed("model."),
}
