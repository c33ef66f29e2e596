"""What is damaged goes to a folder `set_aside`, each with its reason in a text file beside it.

set_aside/cells-<id>.json               the damaged file, with its folder in front of its name
set_aside/cells-<id>.json.reason.txt    why it was set aside
set_aside/<id>.body                     a copy of a damaged result that shares a file with others
"""

import os
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from bench.core.terminal import legible
from bench.store.writing import write_atomically, write_text

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
    target = next(folder / each for each in _names(name) if not (folder / each).exists())
    os.replace(path, target)
    write_text(folder / f"{target.name}{_REASON}", f"{legible(reason)}\n")
    return target


def keep_copy(name: str, content: bytes, folder: Path, reason: str) -> Path:
    """Write damaged bytes to a folder, with the reason beside them; return the path of the copy.

    Bytes that are there already are not written again.

    Raises:
        StoreError: They cannot be written.
    """
    for each in _names(name):
        path = folder / each
        if not path.exists():
            write_atomically(path, lambda part: part.write_bytes(content))
            write_text(folder / f"{each}{_REASON}", f"{legible(reason)}\n")
            break
        if path.read_bytes() == content:
            break
    return path


def reasons(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each file that was set aside in a folder, and the reason."""
    for path in sorted(folder.glob(f"*{_REASON}")):
        yield path.name.removesuffix(_REASON), path.read_text("utf-8", "replace").strip()


def _names(name: str) -> Iterator[str]:
    return chain([name], (f"{name}.{number}" for number in count(2)))
