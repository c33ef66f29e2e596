"""Capture the outputs of modules inside a tower, with a copy that shares its weights."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from radapt.clone import clone_to
from radapt.grids import grids_of
from radapt.tiles import tiles_of
from radapt.tower import attention_path, batch_leads, normalisation, normalise

Keep = Callable[[Tensor], None]


class _StopForward(Exception):
    """Stops a tower's forward pass after the wanted module."""


def tapped(tower: nn.Module, taps: Mapping[str, Keep]) -> nn.Module:
    """Return a copy of a tower that passes the outputs `[b,n,d]` of modules to functions.

    Args:
        tower: A vision tower.
        taps: For each module's name, the function that receives its output.

    Raises:
        TypeError: The tower's layout is not known.
    """
    leads = batch_leads(tower.get_submodule(attention_path(tower)))
    for path, keep in taps.items():
        tower, module = clone_to(tower, path)
        module.register_forward_hook(_hook(keep, leads))
    return tower


def _hook(keep: Keep, leads: bool) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        tokens = output[0] if isinstance(output, tuple) else output
        keep(tokens if leads else tokens.transpose(0, 1))

    return hook


def output_of(tower: nn.Module, path: str, inputs: Tensor) -> Tensor:
    """Return the output `[b,n,d]` of a module, without running later modules."""
    found: list[Tensor] = []

    def keep(tokens: Tensor) -> None:
        found.append(tokens)
        raise _StopForward

    with suppress(_StopForward):
        tapped(tower, {path: keep})(inputs)
    return found[0]


def inputs_for(
    tower: nn.Module,
    images: Tensor,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Tensor:
    """Return normalised images `[b,3,h,w]`, in the precision and on the device of a tower.

    Raises:
        TypeError: The tower takes images in another form.
    """
    if grids_of(tower) is not None or tiles_of(tower) is not None:
        raise TypeError(
            f"{type(tower).__name__}: analyses need a tower that takes images of one size, not "
            "images of any size or tiles"
        )
    weight = next(tower.parameters())
    pixels = images.to(weight.device, torch.float32)
    return normalise(pixels, *normalisation(tower, mean, std)).to(weight.dtype)
