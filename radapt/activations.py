"""Activation functions of towers."""

from typing import Literal

from torch import nn

Activation = Literal["gelu", "quick_gelu"]  # those that weights of CLIPs were trained with

# Names of activations in configurations, by the class names in open_clip and transformers.
ACTIVATIONS = {
    "QuickGELU": "quick_gelu",
    "QuickGELUActivation": "quick_gelu",
    "GELU": "gelu",
    "GELUActivation": "gelu",
    "GELUTanh": "gelu_tanh",
}


def activation(tower: nn.Module) -> str:
    """Return the name of a tower's activation function; several names are joined with `+`."""
    found = {ACTIVATIONS.get(type(module).__name__) for module in tower.modules()}
    return "+".join(sorted(name for name in found if name))
