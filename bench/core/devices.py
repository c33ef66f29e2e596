"""Where models run, and what is to be known of a run that changes no number."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch

from bench.core.errors import UserError
from bench.plan.cells import Cell
from bench.suite.applicability import answers
from bench.suite.load import Suite
from bench.suite.specs import Ensemble, PyAutoAttack, PythonModel, TorchAttacks


def provenance(suite: Suite, cell: Cell, device: torch.device) -> Mapping[str, str]:
    """Return the versions of what a cell uses, and the device."""
    names = (cell.target, *cell.sources)
    ours = [name for name in names if not isinstance(suite.models[name], PythonModel)]
    libraries = {"transformers" if answers(suite.models, n) else "open_clip_torch" for n in ours}
    used = sorted(libraries)
    attacks = cell.attack.attacks if isinstance(cell.attack, Ensemble) else (cell.attack,)
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


def device_name(device: torch.device) -> str:
    """Return what a device is called by its maker, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def pick_device(name: str | None) -> torch.device:
    """Return the named device, or the accelerator where there is one.

    Raises:
        UserError: There is no such device here.
    """
    found = name or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = False  # the protocols are in single precision throughout
    try:
        return torch.empty(0, device=found).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device: got {found!r}, which cannot be used here: {reason}") from error
