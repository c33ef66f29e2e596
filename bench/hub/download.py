"""A file that `fetch` downloads if it is missing, with its size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.hub.files import HubFile, NoSuchFile, cache, fetch_file, file_info


@dataclass(frozen=True, slots=True)
class Download:
    """A file or archive that is downloaded if it is missing.

    Attributes:
        name: Name in messages.
        left: Number of missing bytes; 0 if the file is here or its size is unknown.
        folder: Folder of the downloaded file.
        fetch: Downloads the file, and calls its argument with the size of each chunk in bytes.
    """

    name: str
    left: int
    folder: Path
    fetch: Callable[[Callable[[int], None]], object]


def hub_download(file: HubFile, *others: HubFile) -> Download:
    """Return the download of `file`, or of the first of `others` if the hub lacks it.

    Raises:
        CellError: The hub cannot be reached, or has none of the files.
    """
    try:
        found = file_info(file)
    except NoSuchFile:
        if not others:
            raise
        return hub_download(*others)
    left = 0 if found.here else found.size
    return Download(f"{file.repo} {file.path}", left, cache(), partial(fetch_file, file))
