"""Frames: the binary form of a cell's outcome, which tables read by the million.

A frame has a head of 49 bytes, and a bit per image for whether the prediction is right. The other
fields of a result are in its body (`bench.store.cell_records`); the head says where the body is.
A checksum covers all of a frame that follows it.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from bench.core.types import CellResult, Status

MARK = b"\xabRF1"  # begins each frame; the last byte is the version of this form
# mark, checksum, status, cell, list of images, images, right ones, body's length and place
_HEAD = struct.Struct("<4sIB10s10sIIIQ")
_STATUS, _CELL, _SIZE = slice(8, 9), slice(9, 19), slice(29, 33)
_AFTER_CHECKSUM = 8
_STATUSES: tuple[Status, ...] = get_args(Status)
_FIRST_RUN = 16  # frames that are compared at once; doubled while all have the same size


class Frame(NamedTuple):
    """The outcome of a cell, and where the rest of its result is.

    Attributes:
        cell: Id of the cell, 10 bytes.
        status: Whether it is ok, was skipped, or failed.
        images: Digest of the list of its images, 10 bytes (`bench.store.image_id_lists`).
        size: Number of images.
        right: Number of images whose prediction is right.
        bits: Whether each prediction is right, eight images in a byte, the first image highest.
        offset: Where its body begins in the file of bodies.
        length: Length of its body in bytes.
    """

    cell: bytes
    status: Status
    images: bytes
    size: int
    right: int
    bits: bytes
    offset: int
    length: int

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is right."""
        bits = np.frombuffer(self.bits, np.uint8)
        return np.unpackbits(bits, count=self.size).view(np.bool_)


class Run(NamedTuple):
    """Frames of equal size that follow each other, or a damaged stretch.

    Attributes:
        begin: Where the first frame, or the stretch, begins.
        end: Where the last one ends.
        places: Where each frame begins; empty for a damaged stretch.
        cells: Id of the cell of each frame, 10 bytes.
    """

    begin: int
    end: int
    places: range
    cells: list[bytes]


def frame_of(result: CellResult, images: bytes) -> Frame:
    """Return the frame of a result whose body has no place yet.

    Args:
        result: The result.
        images: Digest of the list of its images.
    """
    correct = result.correct
    return Frame(
        bytes.fromhex(result.cell_id), result.status, images, len(correct), int(correct.sum()),
        np.packbits(correct.astype(np.bool_)).tobytes(), 0, 0,
    )  # fmt: skip


def pack(frame: Frame) -> bytes:
    """Return the bytes of a frame, with their checksum."""

    def head(checksum: int) -> bytes:
        return _HEAD.pack(
            MARK, checksum, _STATUSES.index(frame.status), frame.cell, frame.images, frame.size,
            frame.right, frame.length, frame.offset,
        )  # fmt: skip

    return head(zlib.crc32(head(0)[_AFTER_CHECKSUM:] + frame.bits)) + frame.bits


def unpack(content: bytes, place: int) -> Frame:
    """Return the sound frame at a place that `runs` has found."""
    _, _, status, cell, images, size, right, length, offset = _HEAD.unpack_from(content, place)
    bits = bits_at(content, place, size)
    return Frame(cell, _STATUSES[status], images, size, right, bits, offset, length)


def told_at(content: bytes, place: int) -> tuple[Status, bytes, int, int]:
    """Return status, list of images, number of images and of right ones of the frame at a place."""
    _, _, status, _, images, size, right, _, _ = _HEAD.unpack_from(content, place)
    return _STATUSES[status], images, size, right


def body_at(content: bytes, place: int) -> tuple[str, int, int]:
    """Return the id of the cell of the frame at a place, and where its body begins, and its length.

    The place and the length are those in the file of bodies.
    """
    _, _, _, cell, _, _, _, length, offset = _HEAD.unpack_from(content, place)
    return cell.hex(), offset, length


def bits_at(content: bytes, place: int, size: int) -> bytes:
    """Return whether each prediction is right in the frame at a place, which has `size` images."""
    begin = place + _HEAD.size
    return content[begin : begin + (size + 7) // 8]


def status_at(content: bytes, place: int) -> Status:
    """Return the status of the frame at a place."""
    return _STATUSES[content[place + _STATUS.start]]


def runs(content: bytes) -> Iterator[Run]:
    """Yield all frames in the content of a file, and the damaged stretches between them.

    What is left at the end is not yielded if it may be a frame that is not complete: its writer
    has not finished it, or was killed.
    """
    place = 0
    while place < len(content):
        if run := _run_at(content, place):
            yield run
            place = run.end
            continue
        following = _next_frame(content, place + 1)
        if following is None:
            if _may_be_incomplete(content, place):
                return
            following = len(content)
        yield Run(place, following, range(0), [])
        place = following


def _run_at(content: bytes, place: int) -> Run | None:
    """Return the frames of equal size from a place on; None if there is no sound frame."""
    length = _length_at(content, place)
    if length is None:
        return None
    first, sizes = place, content[place + _SIZE.start : place + _SIZE.stop]
    at_once, cells = _FIRST_RUN, list[bytes]()
    while found := min(at_once, (len(content) - place) // length):
        rows = np.frombuffer(content, np.uint8, found * length, place).reshape(found, length)
        same = (rows[:, :4] == np.frombuffer(MARK, np.uint8)).all(1)
        same &= (rows[:, _SIZE] == np.frombuffer(sizes, np.uint8)).all(1)
        same &= rows[:, _STATUS.start] < len(_STATUSES)
        alike = found if same.all() else int(same.argmin())
        sound = _sound(content, place, length, alike)
        cells += np.ascontiguousarray(rows[:sound, _CELL]).view("V10")[:, 0].tolist()
        place += sound * length
        if sound < found:
            break
        at_once *= 2
    return Run(first, place, range(first, place, length), cells) if cells else None


def _sound(content: bytes, place: int, length: int, count: int) -> int:
    """Return how many of the next frames fit their checksums, up to the first that does not."""
    view, crc32 = memoryview(content), zlib.crc32
    for number in range(count):
        begin = place + number * length
        stated = int.from_bytes(view[begin + 4 : begin + 8], "little")
        if crc32(view[begin + _AFTER_CHECKSUM : begin + length]) != stated:
            return number
    return count


def _length_at(content: bytes, place: int) -> int | None:
    """Return the length of the frame at a place by its head; None if the head is cut off."""
    size = content[place + _SIZE.start : place + _SIZE.stop]
    return _HEAD.size + (int.from_bytes(size, "little") + 7) // 8 if len(size) == 4 else None


def _next_frame(content: bytes, place: int) -> int | None:
    while (place := content.find(MARK, place)) >= 0:
        length = _length_at(content, place)
        if length and place + length <= len(content) and _sound(content, place, length, 1):
            return place
        place += 1
    return None


def _may_be_incomplete(content: bytes, place: int) -> bool:
    """Return whether the end of a file may be a frame that was cut off, or never came to the disk.

    A file system may fill with zeros what it did not write before a power failure.
    """
    length = _length_at(content, place)
    end = content[place:].rstrip(b"\0")
    return MARK.startswith(end[:4]) and (length is None or len(end) < length)
