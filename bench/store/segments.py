"""Segments: files to which a process appends the results of its cells.

<folder>/000001.cells     frames (`bench.store.frames`), which tell where the bodies are
<folder>/000001.bodies    the bodies of the results (`bench.store.cell_records`), one after another

Only the process that made a segment writes to it, and never changes what is there, so readers need
no lock. This holds on network file systems, too. A body is written before its frame. So a process
that is killed at any byte leaves at most an incomplete frame, which readers pass over.
"""

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from bench.store.frames import Frame, Run, pack, runs
from bench.store.open_files import OpenFile
from bench.store.reading import open_regular
from bench.store.writing import writing

FRAMES, BODIES = ".cells", ".bodies"


class Segment:
    """A segment that is read, again and again while its process writes it.

    Attributes:
        path: The file of its frames.
        bodies: The file of its bodies.
    """

    def __init__(self, path: Path) -> None:
        """Name the file of frames; nothing is read yet."""
        self.path, self.bodies = path, path.with_suffix(BODIES)
        self._read = 0  # bytes of frames that were read
        self._open_bodies = OpenFile(self.bodies)

    def new_content(self) -> tuple[bytes, tuple[Run, ...]]:
        """Return what was written since the last call, and its frames.

        Raises:
            OSError: The file does not exist any more, or cannot be read.
            ValueError: It is not a regular file.
        """
        if self.path.stat().st_size == self._read:
            return b"", ()
        with open_regular(str(self.path)) as file:
            file.seek(self._read)
            content = file.read()
        found = tuple(runs(content))
        self._read += found[-1].end if found else 0
        return content, found

    def body(self, offset: int, length: int) -> bytes:
        """Return the body at a place, as it is stored.

        Raises:
            OSError: It cannot be read.
            ValueError: It is cut off, or not in a regular file.
        """
        body = self._open_bodies.read(offset, length)
        if len(body) < length:
            raise ValueError(f"its body is cut off in {self.bodies.name}")
        return body


class SegmentWriter:
    """The segment of this process, which is made when a result is first written.

    Attributes:
        paths: The files of frames and of bodies; empty before they are made.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder of segments."""
        self._folder = folder
        self.paths: tuple[Path, ...] = ()

    def append(self, frames: Sequence[Frame], bodies: Sequence[bytes]) -> None:
        """Write frames and their bodies; other processes see them as soon as this returns.

        The files are closed each time, because a network file system shows other machines what was
        written when the file is closed.

        Args:
            frames: The frames; the places of their bodies are set here.
            bodies: The body of each frame.

        Raises:
            StoreError: They cannot be written.
        """
        file_of_frames, file_of_bodies = self.paths or self._make()
        try:
            with writing(file_of_bodies), open(file_of_bodies, "ab") as file:
                offset, placed = file.tell(), []
                for frame, body in zip(frames, bodies, strict=True):
                    placed.append(frame._replace(offset=offset, length=len(body)))
                    offset += len(body)
                file.write(b"".join(bodies))
            with writing(file_of_frames), open(file_of_frames, "ab") as file:
                file.write(b"".join(map(pack, placed)))
        except BaseException:
            self.paths = ()  # it may end in half a frame, so the next call makes another segment
            raise

    def _make(self) -> tuple[Path, ...]:
        with writing(self._folder / FRAMES):
            self._folder.mkdir(parents=True, exist_ok=True)
            for number in count(_last_number(self._folder) + 1):
                paths = tuple(self._folder / f"{number:06d}{each}" for each in (FRAMES, BODIES))
                try:
                    for path in paths:  # new files, so no link leads elsewhere
                        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                    break
                except FileExistsError:  # another process was faster
                    continue
        self.paths = paths
        return paths


def is_segment(name: str) -> bool:
    """Return whether a file name is that of a segment's frames."""
    stem, dot, suffix = name.partition(".")
    return stem.isdecimal() and dot + suffix == FRAMES


def in_order(names: Sequence[str]) -> list[str]:
    """Return names of segments, the oldest first."""
    return sorted(names, key=lambda name: int(name.partition(".")[0]))


def _last_number(folder: Path) -> int:
    names = in_order([name for name in os.listdir(folder) if is_segment(name)])
    return int(names[-1].partition(".")[0]) if names else 0
