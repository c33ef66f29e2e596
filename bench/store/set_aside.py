"""Damaged files are moved to a folder `set_aside`, each with its reason in a text file beside it.

set_aside/cells-<id>.json               the damaged file, with its folder in front of its name
set_aside/cells-<id>.json.reason.txt    why it was set aside
"""

import os
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from bench.core.terminal import legible
from bench.store.writing import write_text

FOLDER = "set_aside"
_REASON = ".reason.txt"


def set_aside(path: str, folder: Path, reason: str) -> Path:
    """Move a damaged file to a folder and write the reason beside it; return its new path.

    Raises:
        OSError: The file cannot be moved.
        StoreError: The reason cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join(Path(path).parts[-2:])
    names = chain([name], (f"{name}.{number}" for number in count(2)))
    target = next(folder / each for each in names if not (folder / each).exists())
    os.replace(path, target)
    write_text(folder / f"{target.name}{_REASON}", f"{legible(reason)}\n")
    return target


def reasons(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each file that was set aside in a folder, and the reason."""
    for path in sorted(folder.glob(f"*{_REASON}")):
        yield path.name.removesuffix(_REASON), path.read_text("utf-8", "replace").strip()
