"""Devices by name: which one a run uses, and what its maker calls it."""

import torch

from bench.core.errors import UserError


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
