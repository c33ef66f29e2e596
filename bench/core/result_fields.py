"""What a field of `CellResult` holds: declared once, beside the field.

`bench.store.cell_records` (our own files) and `bench.store.portable_records` (lines sent to others)
read these declarations, and no other list of the fields exists.
"""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "id",  # identity of a cell
    "status",
    "count",  # integer of at least 0
    "seconds",  # float of at least 0
    "facts",  # strings and integers by name
    "reason",  # text of several lines, or None
    "flags",  # words
    "ids",  # per image, its id
    "booleans",  # per image, True or False
    "floats",  # per image, a float32
    "texts",  # per image, a text
]
PER_IMAGE: tuple[Kind, ...] = ("ids", "booleans", "floats", "texts")


@dataclass(frozen=True, slots=True)
class Declared:
    """How a field is stored, sent and checked.

    Attributes:
        kind: What its value is.
        optional: Whether a result without a value leaves the field out of its file and line.
        most: Highest float that is accepted from others; the lowest is 0.
        decimals: Digits after the point of a sent float; as many as float32 needs where None.
    """

    kind: Kind
    optional: bool = False
    most: float = 1.0
    decimals: int | None = None

    @property
    def per_image(self) -> bool:
        """Whether the field has one value per image."""
        return self.kind in PER_IMAGE


def declared(
    kind: Kind, *, optional: bool = False, most: float = 1.0, decimals: int | None = None
) -> dict[str, Any]:
    """Return the metadata of a dataclass field; the arguments are those of `Declared`."""
    return {"declared": Declared(kind, optional, most, decimals)}
