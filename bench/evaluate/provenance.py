"""The library versions and the device of a cell; they are not part of its identity."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch

from bench.core.devices import device_name
from bench.core.types import Facts
from bench.plan.cells import Cell
from bench.suite.load import Suite
from bench.suite.specs import PyAutoAttack, TorchAttacks, members_of
from bench.suite.specs.models import root_model


def provenance(suite: Suite, cell: Cell, device: torch.device) -> Facts:
    """Return the versions of the libraries that a cell uses, and the name of its device."""
    names = (cell.target, *cell.sources)
    built_here = [name for name in names if not suite.models[name].runs_own_code]
    libraries_of = [
        root_model(suite.models, name).libraries or ("open_clip_torch",) for name in built_here
    ]
    used = sorted({library for libraries in libraries_of for library in libraries})
    attacks = members_of(cell.attack) if cell.attack else ()
    used += sorted({a.kind for a in attacks if isinstance(a, PyAutoAttack | TorchAttacks)})
    return {
        "torch": torch.__version__,
        **{library: _version(library) for library in used},
        "python": platform.python_version(),
        "device": device_name(device),
    }


@cache
def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
