"""A stored result whose right and wrong images are known, and whose rest is read on demand.

Tables of a million cells count right images only, so they hold this in place of whole results.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.types import CellResult, Details
from bench.store.cell_records import check_body, details_from_body, result_from_body
from bench.store.frames import bits_at, body_at, told_at, unpack
from bench.store.segments import Segment

T = TypeVar("T")


class Bodies(Protocol):
    """Reads the bodies of results."""

    def read(self, found: "ResultOnDisk", parse: "Callable[[ResultOnDisk], T]") -> T | None:
        """Return what `parse` reads from the body of a result; None if it is damaged."""
        ...


class ResultOnDisk:
    """A result as its frame says it; see `bench.core.types.Result`."""

    __slots__ = (
        "_bodies", "_content", "_flags", "_place", "right", "sample_ids", "segment", "size",
        "status",
    )  # fmt: skip

    def __init__(
        self,
        bodies: Bodies,
        segment: Segment,
        content: bytes,
        place: int,
        images_of: Callable[[bytes], tuple[str, ...]],
    ) -> None:
        """Read the head of a frame.

        Args:
            bodies: Reads the rest of the result.
            segment: The segment of the frame.
            content: Frames as they were read from the segment.
            place: Where the frame begins in them.
            images_of: Returns the ids of the images in a list, given its digest.

        Raises:
            Unreadable: The list of its images cannot be read.
            ValueError, TypeError: The list of its images is absent, damaged or another.
        """
        self.status, images, self.size, self.right = told_at(content, place)
        self.sample_ids = images_of(images)
        if len(self.sample_ids) != self.size:
            raise ValueError(f"has {self.size} values for {len(self.sample_ids)} images")
        self.segment = segment
        self._bodies, self._content, self._place = bodies, content, place
        self._flags: tuple[str, ...] | None = None

    @property
    def cell_id(self) -> str:
        """Id of the cell."""
        return body_at(self._content, self._place)[0]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Per image, whether the prediction is correct."""
        return unpack(self._content, self._place).correct

    @property
    def bits(self) -> bytes:
        """Whether each prediction is correct, eight images in a byte, the first image highest."""
        return bits_at(self._content, self._place, self.size)

    @property
    def finished(self) -> bool:
        """Whether the cell is done; a failed cell is computed again."""
        return self.status != "failed"

    @property
    def flags(self) -> tuple[str, ...]:
        """Warnings for readers of the number; none if the details are damaged."""
        if self._flags is None:
            self.details()
        return self._flags or ()

    def details(self) -> Details | None:
        """Return what it says besides its numbers per image; None if that is damaged."""
        found = self._bodies.read(self, details_of)
        self._flags = found.flags if found else ()
        return found

    def whole(self) -> CellResult | None:
        """Return the whole result; None if it is damaged."""
        return self._bodies.read(self, result_of)

    def body(self) -> tuple[str, bytes]:
        """Return the id of the cell, and its body as it is stored; errors as of `Segment.body`."""
        cell_id, offset, length = body_at(self._content, self._place)
        return cell_id, self.segment.body(offset, length)


def details_of(found: ResultOnDisk) -> Details:
    """Read the details of a result; errors as of `result_of`."""
    cell_id, body = found.body()
    return details_from_body(body, cell_id)


def result_of(found: ResultOnDisk) -> CellResult:
    """Read a whole result.

    Raises:
        OSError: Its body cannot be read.
        ValueError, KeyError, TypeError, AttributeError: It is damaged.
    """
    cell_id, body = found.body()
    return result_from_body(body, cell_id, found.correct, found.sample_ids)


def check(found: ResultOnDisk) -> None:
    """Check that a result can be read; errors as of `result_of`."""
    cell_id, body = found.body()
    check_body(body, cell_id)
