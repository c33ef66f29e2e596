"""The device of a run, and its display name."""

import torch

from bench.core.errors import UserError


def device_name(device: torch.device) -> str:
    """Return the vendor's name of a CUDA device, or the device's type, such as `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def usable_memory(device: torch.device) -> tuple[int, int]:
    """Return the free bytes of a CUDA device, and all bytes, that this process may allocate.

    A worker on a fraction of the device may allocate that fraction only.
    """
    free, whole = torch.cuda.mem_get_info(device)
    share = int(whole * torch.cuda.get_per_process_memory_fraction(device))
    return min(free, share - torch.cuda.memory_reserved(device)), share


def memory_of(device: torch.device, memory: int) -> int:
    """Return the bytes of a device's memory that this process may fill.

    Args:
        device: The device.
        memory: The bytes for this process of the machine's memory, which a CPU uses.
    """
    return usable_memory(device)[1] if device.type == "cuda" else memory


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
