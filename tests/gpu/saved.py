"""What a part of the campaign has measured, as a file that is replaced as a whole."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.store.writing import write_text

_UNFINISHED = "ended without a message"


@dataclass
class Saved:
    """A part's rows so far.

    Attributes:
        part: Name of the part.
        small: Whether it ran in small.
        where: The machine.
        rows: What was measured, by column.
        error: Why the part is not finished; empty if it is.
    """

    part: str
    small: bool
    where: str
    rows: list[dict[str, object]] = field(default_factory=list)
    error: str = _UNFINISHED

    def put(self, folder: Path) -> None:
        """Save the part in a folder."""
        write_text(file_of(folder, self.part), json.dumps(asdict(self), indent=1) + "\n")


def file_of(folder: Path, part: str) -> Path:
    """Return the file of a part."""
    return folder / f"{part}.json"


def read(folder: Path, part: str, *, small: bool) -> Saved | None:
    """Return what a part has saved at this size, or None."""
    path = file_of(folder, part)
    if not path.exists():
        return None
    found = Saved(**json.loads(path.read_text("utf-8")))
    return found if found.small == small else None
