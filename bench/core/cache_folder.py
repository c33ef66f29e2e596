"""The folder of what processes of one user keep for each other; it can be deleted at any time."""

import os
from pathlib import Path

from bench.core.program import PROJECT


def cache_folder(kind: str) -> Path | None:
    """Return the folder of one kind of content; None if the user has no home folder."""
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    except RuntimeError:
        return None
    return Path(cache, PROJECT, kind)
