"""Weights written in each layout that `radapt.state_dicts` reads."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

Write = Callable[[Mapping[str, Any]], dict[str, Any]]


def _under(key: str) -> Write:
    return lambda state: {"epoch": 3, key: dict(state), "optimizer": {"lr": torch.tensor(0.1)}}


def _prefixed(prefix: str) -> Write:
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def _averaged_by_torch(state: Mapping[str, Any]) -> dict[str, Any]:
    return {"n_averaged": torch.tensor(3), **_prefixed("module.")(state)}


# by the names in `LAYOUTS`; tests of all layouts fail if a name is missing here
WRAPPED: dict[str, Write] = {
    "a training state of TeCoA or TGA-ZSR": _under("vision_encoder_state_dict"),
    "a training state of Lightning, open_clip or timm": _under("state_dict"),
    "a training state with `model_state_dict`": _under("model_state_dict"),
    "a training state of DeiT or MAE": _under("model"),
    "a training state of DeepSpeed's `module`": _under("module"),
    "a training state with only averaged weights (EMA)": _under("state_dict_ema"),
    "weights that Lightning's WeightAveraging has not averaged": _under("current_model_state"),
    "weights of DataParallel": _prefixed("module."),
    "weights of torch.compile": _prefixed("_orig_mod."),
    "weights of FSDP or activation checkpointing": _prefixed("_fsdp_wrapped_module."),
    "weights of a Lightning module with the attribute `model`": _prefixed("model."),
    "weights of a Lightning module with only averaged weights (EMA)": _prefixed("ema_model."),
    "weights of torch's AveragedModel": _averaged_by_torch,
}


def torchscript(module: nn.Module, path: Path, example: torch.Tensor | None = None) -> None:
    """Write a module as a TorchScript archive, as OpenAI publishes CLIP.

    Args:
        module: The module.
        path: The file.
        example: An input, to trace the module; None to compile its code.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # but archives of it are in use
        made = torch.jit.script(module) if example is None else torch.jit.trace(module, example)
        torch.jit.save(made, str(path))
