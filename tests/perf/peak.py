"""The memory that a process has held at most."""

import resource
from pathlib import Path


def peak() -> float:
    """Return the most memory that this process has held, in MB.

    Linux counts a parent's memory into `getrusage` of what it started, so the kernel's own
    mark is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        marks = [line.split() for line in status.read_text().splitlines() if "VmHWM" in line]
        return int(marks[0][1]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
