"""What a suite may say: typed, frozen, and closed to keys that do not exist."""

from bench.specs.attacks import (
    AnyAttack,
    AnyThreat,
    ApgdCe,
    Cw,
    Pgd,
    PyAutoAttack,
    Threat,
    TorchAttacks,
    eps_value,
)
from bench.specs.base import Name, Spec
from bench.specs.datasets import DatasetSpec, NanoDataset, WebDataset
from bench.specs.models import (
    Anchor,
    GraftModel,
    ModelSpec,
    NanoModel,
    OpenClipModel,
    PythonModel,
    RAdaptModel,
)
from bench.specs.protocol import PRESETS, Pixels, Protocol, expand_preset

__all__ = [
    "PRESETS",
    "Anchor",
    "AnyAttack",
    "AnyThreat",
    "ApgdCe",
    "Cw",
    "DatasetSpec",
    "GraftModel",
    "ModelSpec",
    "Name",
    "NanoDataset",
    "NanoModel",
    "OpenClipModel",
    "Pgd",
    "Pixels",
    "Protocol",
    "PyAutoAttack",
    "PythonModel",
    "RAdaptModel",
    "Spec",
    "Threat",
    "TorchAttacks",
    "WebDataset",
    "eps_value",
    "expand_preset",
]
