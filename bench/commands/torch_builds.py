"""For which hardware the installed torch and torchvision were built; imports neither."""

import re
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

_VERSION = re.compile(r"^__version__ = '([^']*)'", re.MULTILINE)


def mismatch(search: Sequence[str] = sys.path) -> tuple[str, str] | None:
    """Return the versions of torch and torchvision if torchvision was built for another torch.

    The registry's torchvision for Linux is built for CUDA, and its import fails beside a torch
    for CPUs. The metadata of the packages do not tell; a file of theirs does.

    Args:
        search: Folders that may contain the packages.
    """
    torch, torchvision = (_built_version(name, search) for name in ("torch", "torchvision"))
    if torch is None or torchvision is None:
        return None
    theirs, ours = (version.partition("+")[2] for version in (torchvision, torch))
    return (torch, torchvision) if theirs and ours and theirs != ours else None


def index_of(build: str) -> str:
    """Return the option of pip for PyTorch's own index of a build: `cpu`, `cu126`."""
    return f"--index-url https://download.pytorch.org/whl/{build}"


def cuda_libraries(installed: Sequence[Distribution] | None = None) -> tuple[int, int]:
    """Return the number of installed packages with CUDA's libraries, and their size in bytes.

    Args:
        installed: Packages; default: all that Python finds.
    """
    found = [
        each for each in (installed if installed is not None else distributions())
        if (each.metadata["Name"] or "").lower().startswith(("nvidia-", "triton"))
    ]  # fmt: skip
    return len(found), sum(file.size or 0 for each in found for file in each.files or ())


def _built_version(package: str, search: Sequence[str]) -> str | None:
    """Return `2.13.0+cpu` from a package's `version.py`; None if it is not installed."""
    for folder in search:
        file = Path(folder, package, "version.py")
        if file.is_file() and (match := _VERSION.search(file.read_text("utf-8"))):
            return match[1]
    return None
