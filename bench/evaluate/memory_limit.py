"""The memory that the processes of this machine or container may fill, and that this one fills."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_UNKNOWN = 8 * 2**30  # bytes; a small machine


def memory_limit(root: Path = Path("/")) -> int:
    """Return the bytes of the machine's memory, or the limit of a control group if it is lower.

    Containers and batch systems such as SLURM limit control groups.

    Args:
        root: The folder in which `proc` and `sys` are.
    """
    return min([physical_memory() or _UNKNOWN, *_limits_of_groups(root)])


def physical_memory() -> int | None:
    """Return the bytes of the machine's memory; None if the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def private_memory() -> int:
    """Return the bytes that only this process fills; 0 if the system does not tell.

    Mapped files do not count: the system frees their pages when memory is short.
    """
    try:
        fields = Path("/proc/self/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0  # no Linux


def give_back_freed_memory() -> None:
    """Return to the system what this process has freed.

    glibc keeps much of it: 1.4 of the 1.5 GB of two ViT-B/32. Other C libraries lack
    the function.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _limits_of_groups(root: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups, and of the groups that contain them."""
    groups = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # no Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            top, name = groups, "memory.max"
        elif "memory" in controllers.split(","):  # version 1
            top, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):  # the paths of a container may be those outside of it
            with suppress(OSError, ValueError):  # no such group, or its limit is `max`
                yield int((top / group / name).read_text())
