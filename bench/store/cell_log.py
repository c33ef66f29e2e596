"""The results of a suite's cells on disk, and where each of them is.

<folder>/000001.cells, 000001.bodies    segments (`bench.store.segments`); the later one counts
<folder>/<digest>.images                lists of images (`bench.store.image_id_lists`)
<folder>/<id>.json                      a cell's result from an earlier version, until the next run
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.core.errors import Unreadable
from bench.core.identifiers import is_id
from bench.core.types import CellResult, Status
from bench.store.cell_records import result_to_body
from bench.store.frames import Frame, frame_of, status_at, unpack
from bench.store.image_id_lists import ImageLists
from bench.store.reading import DAMAGE, read_with_retry
from bench.store.result_on_disk import ResultOnDisk
from bench.store.segments import FRAMES, Segment, SegmentWriter, in_order, is_segment
from bench.store.writing import Flusher, writing

OLD = ".json"
OnDamage = Callable[[str, str, bytes, Exception], None]
_BITS = 40  # of a place in a block
_MASK = (1 << _BITS) - 1
T = TypeVar("T")
_TRIES = 3  # to read while a run merges segments


class CellLog:
    """The results of cells in a folder: this process appends to its segment, and reads all.

    Attributes:
        folder: The folder; it need not exist.
        segments: The segments that were read, by name.
        places: Where the frame of each cell is, by its id in 10 bytes.
        old: Ids of the cells that have a file of an earlier version; a frame counts more.
        frames: Number of frames; more than cells if later ones replace earlier ones.
        damaged: Whether a stretch of a segment is damaged, or a result is.
    """

    def __init__(self, folder: Path, on_damage: OnDamage) -> None:
        """Name the folder; nothing is read yet.

        Args:
            folder: The folder.
            on_damage: Called with a file, the damaged part of it, its bytes, and the reason.
        """
        self.folder, self._on_damage = folder, on_damage
        self._lists = ImageLists(folder)
        self._writer = SegmentWriter(folder)
        self._flusher = Flusher()
        self._forget()

    def _forget(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.places: dict[bytes, int] = {}  # number of the block, and place in it
        self._blocks: list[tuple[Segment, bytes]] = []  # contents of segments as they were read
        self.old: frozenset[str] = frozenset()
        self.frames, self.damaged = 0, False

    def put(self, results: Sequence[CellResult]) -> None:
        """Append results; each replaces the earlier one of its cell.

        Raises:
            StoreError: They cannot be written.
        """
        frames = [frame_of(each, self._lists.store(each.sample_ids)) for each in results]
        self.append(frames, [result_to_body(each) for each in results])

    def append(self, frames: Sequence[Frame], bodies: Sequence[bytes]) -> None:
        """Append frames and their bodies.

        Raises:
            StoreError: They cannot be written.
        """
        self._writer.append(frames, bodies)
        self._flusher.add(*self._writer.paths)

    def flush(self) -> None:
        """Wait until the disk has all that was appended.

        Raises:
            StoreError: It cannot be written.
        """
        self._flusher.flush()

    def __contains__(self, key: str) -> bool:
        """Return whether a cell has a frame."""
        return bytes.fromhex(key) in self.places

    def finish_segment(self, stored: float) -> None:
        """Flush the segment of this process, and begin another with the next result.

        Args:
            stored: When its newest result was stored, in seconds since 1970.

        Raises:
            StoreError: It cannot be written.
        """
        self.flush()
        for path in self._writer.paths:
            with writing(path):
                os.utime(path, (stored, stored))
        self._writer = SegmentWriter(self.folder)

    def refresh(self) -> None:
        """Read what any process has appended since the last time.

        Raises:
            Unreadable: The folder or a segment cannot be read.
        """
        for _ in range(_TRIES):
            names = read_with_retry(str(self.folder), lambda: os.listdir(self.folder)) or []
            segments = in_order([name for name in names if is_segment(name)])
            if self.segments.keys() - set(segments):
                self._forget()  # a run has merged them into a later one
            if all([self._read(name) for name in segments]):
                ids = (name.removesuffix(OLD) for name in names if name.endswith(OLD))
                self.old = frozenset(filter(is_id, ids))
                return
        raise Unreadable(f"{self.folder}: files vanish while they are read; try again")

    def get(self, key: str) -> ResultOnDisk | None:
        """Return a cell's result as of the last `refresh`; None if no frame of it is sound.

        Raises:
            Unreadable: The list of its images cannot be read.
        """
        return self.find([key]).get(key)

    def find(self, keys: Iterable[str]) -> dict[str, ResultOnDisk]:
        """Return the results of cells as of the last `refresh`; errors as of `get`."""
        found, images_of = dict[str, ResultOnDisk](), self._lists.get
        places, blocks = self.places, self._blocks
        for key in keys:
            place = places.get(bytes.fromhex(key))
            if place is None:
                continue
            segment, content = blocks[place >> _BITS]
            try:
                found[key] = ResultOnDisk(self, segment, content, place & _MASK, images_of)
            except DAMAGE as error:
                self._drop(bytes.fromhex(key), error)
        return found

    def read(self, found: ResultOnDisk, parse: Callable[[ResultOnDisk], T]) -> T | None:
        """Return what is read from the body of a result; None if it is damaged or was replaced.

        Damage is told.

        Args:
            found: The result.
            parse: Reads its body.

        Raises:
            Unreadable: It cannot be read.
        """
        try:
            return parse(found)
        except (OSError, *DAMAGE):
            pass
        self.refresh()  # since a run may have merged the segment meanwhile
        now = self.get(found.cell_id)
        if now is None or (now.status, now.bits) != (found.status, found.bits):
            return None  # it was replaced, so its body may be gone
        try:
            value = read_with_retry(str(now.segment.bodies), lambda: (parse(now),))
            if value is None:
                raise ValueError("its body is missing")
        except DAMAGE as error:
            self._drop(bytes.fromhex(found.cell_id), error)
            return None
        return value[0]

    def _drop(self, cell: bytes, error: Exception) -> None:
        """Tell that the result of a cell is damaged, and forget it."""
        segment, _ = self.frame(cell)
        self._on_damage(str(segment.bodies), f"{cell.hex()}.body", self.body(cell), error)
        del self.places[cell]
        self.damaged = True

    def statuses(self) -> dict[bytes, Status]:
        """Return the status of each cell with a frame, by its id in 10 bytes."""
        return {
            cell: status_at(self._blocks[place >> _BITS][1], place & _MASK)
            for cell, place in self.places.items()
        }

    def frame(self, cell: bytes) -> tuple[Segment, Frame]:
        """Return the frame of a cell in `places`, and its segment."""
        place = self.places[cell]
        segment, content = self._blocks[place >> _BITS]
        return segment, unpack(content, place & _MASK)

    def body(self, cell: bytes) -> bytes:
        """Return the body of a cell as it is stored; empty if it is missing or cut off."""
        segment, frame = self.frame(cell)
        try:
            return segment.body(frame.offset, frame.length)
        except (FileNotFoundError, ValueError):
            return b""

    def _read(self, name: str) -> bool:
        """Read what is new in a segment, and return whether the segment still exists."""
        segment = self.segments.setdefault(name, Segment(self.folder / name))
        path = str(segment.path)
        try:
            found = read_with_retry(path, segment.new_content)
        except ValueError as error:
            raise Unreadable(f"{path}: {error}") from error
        if found is None:
            return False
        content, parts = found
        if parts:
            self._blocks.append((segment, content))
        number = (len(self._blocks) - 1) << _BITS
        for part in parts:
            self.frames += len(part.places)
            self.places.update(zip(part.cells, map(number.__add__, part.places), strict=True))
            if not part.places:
                self.damaged, lost = True, content[part.begin : part.end]
                self._on_damage(path, name, lost, ValueError(f"{len(lost)} bytes were changed"))
        return True


def last_stored(folder: Path) -> float:
    """Return when the newest result in a folder of cells was stored, in seconds since 1970."""
    with os.scandir(folder) as entries:
        return max(each.stat().st_mtime for each in entries if each.name.endswith((FRAMES, OLD)))
