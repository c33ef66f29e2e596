"""The device of a run, and its display name."""

import torch

from bench.core.errors import UserError


def device_name(device: torch.device) -> str:
    """Return the vendor's name of a CUDA device, or the device's type, such as `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def pick_device(name: str | None) -> torch.device:
    """Return the named device. Without a name, return `cuda` if it is available, else `cpu`.

    Raises:
        UserError: This machine cannot use the device.
    """
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = False  # the protocols use single precision everywhere
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device: got {chosen!r}, which cannot be used here: {reason}") from error
