"""The versions and the device that a cell ran with; they change no number."""

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
    """Return the versions of what a cell uses, and the device."""
    names = (cell.target, *cell.sources)
    ours = [name for name in names if not suite.models[name].runs_own_code]
    each = [root_model(suite.models, name).libraries or ("open_clip_torch",) for name in ours]
    used = sorted({library for libraries in each for library in libraries})
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
