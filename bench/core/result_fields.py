"""Declarations of the fields of `CellResult`: the kind of each value and its limits.

`bench.store.cell_records` (stored files) and `bench.store.portable_records` (lines of a bundle)
read these declarations. The fields are listed nowhere else.
"""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "id",  # id of a cell
    "status",
    "count",  # integer of at least 0
    "seconds",  # float of at least 0
    "facts",  # strings and integers by name
    "reason",  # text with any number of lines, or None
    "flags",  # words
    "ids",  # per image: its id
    "booleans",  # per image: True or False
    "floats",  # per image: a float32
    "texts",  # per image: a text
]
PER_IMAGE: tuple[Kind, ...] = ("ids", "booleans", "floats", "texts")


@dataclass(frozen=True, slots=True)
class Declared:
    """Declaration of a field: how it is stored, sent and checked.

    Attributes:
        kind: Kind of the value.
        optional: Whether a file or line omits the field if the result has no value for it, or 0.
        maximum: Highest float that is accepted in a bundle; the lowest is 0.
        decimals: Digits after the point of a sent float; None keeps full float32 precision.
    """

    kind: Kind
    optional: bool = False
    maximum: float = 1.0
    decimals: int | None = None

    @property
    def per_image(self) -> bool:
        """Whether the field has one value per image."""
        return self.kind in PER_IMAGE


def declared(
    kind: Kind, *, optional: bool = False, maximum: float = 1.0, decimals: int | None = None
) -> dict[str, Any]:
    """Return the metadata of a dataclass field; the arguments are those of `Declared`."""
    return {"declared": Declared(kind, optional, maximum, decimals)}
