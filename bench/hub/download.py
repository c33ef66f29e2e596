"""A file that `fetch` may have to download, with its size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.hub.files import HubFile, NoSuchFile, bring, cache, offered


@dataclass(frozen=True, slots=True)
class Download:
    """One file or archive that is downloaded unless it is here.

    Attributes:
        name: Its name in messages.
        left: Bytes that are still missing; 0 where it is here or its size is unknown.
        folder: Where it is put.
        bring: Downloads it, and calls its argument with the number of bytes of every piece.
    """

    name: str
    left: int
    folder: Path
    bring: Callable[[Callable[[int], None]], object]


def hub_download(file: HubFile, *others: HubFile) -> Download:
    """Return the download of the first of some files that the hub has.

    Raises:
        CellError: The hub cannot be reached, or has none of them.
    """
    try:
        found = offered(file)
    except NoSuchFile:
        if not others:
            raise
        return hub_download(*others)
    left = 0 if found.here else found.size
    return Download(f"{file.repo} {file.path}", left, cache(), partial(bring, file))
