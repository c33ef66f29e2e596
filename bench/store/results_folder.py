"""Results on disk: one JSON file per cell, one safetensors file per part of a shared craft.

    <root>/<suite>/lock.json                 what the suite's names stood for
    <root>/<suite>/cells/<id>.json           one result
    <root>/<suite>/parts/<id>/<part>.json    what a cell that is not done has come to so far
    <root>/crafts/<craft_id>.<part>.safetensors
    <root>/judged/                           replies of judges that are language models

Every file is written beside its place and renamed into it: a reader sees all or nothing. A reader
returns None for what is not there, and for what is damaged and set aside (`bench.store.reading`);
it raises `Unreadable` where the system refuses.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.numpy import save

from bench.core.errors import DiskFull, UserError
from bench.core.identifiers import ID_LENGTH, is_id, is_key, is_part, shown
from bench.core.locks import Lock
from bench.core.types import CellResult
from bench.store.cell_records import read_result_file, result_to_json
from bench.store.reading import read_stored, read_with_retry
from radapt import atomic_write

_LOCK: TypeAdapter[Lock] = TypeAdapter(Lock)
_DAY = 86400.0  # seconds
_WITH_FOLDERS = ("parts", "runs", "figures")  # which hold folders, or files that are written to


@dataclass(frozen=True, slots=True)
class Craft:
    """Adversarial images as they are kept, and what they took.

    Attributes:
        kept: `[n,3,h,w]`: perturbations in float16, or images where they have 8 bits.
        forwards: Images sent forward.
        backwards: Images for which a gradient was computed.
    """

    kept: NDArray[Any]
    forwards: int
    backwards: int


class Store:
    """The results of one suite, and the crafts that all suites under the root share."""

    def __init__(self, root: Path, suite: str) -> None:
        """Open the store; folders are made when first written to.

        Raises:
            UserError: A link in it leads out of `root`, so that what is meant to be written or
                removed here would be so elsewhere.
        """
        self.folder = root / suite
        self.crafts = root / "crafts"
        self.judge_replies = root / "judged"
        _refuse_links_out(root, self.folder)

    def put(self, result: CellResult) -> None:
        """Keep a result; it replaces an earlier one of the same cell, and its parts if done."""
        write_text(Path(self._cell_path(result.cell_id)), result_to_json(result))
        if result.finished:
            shutil.rmtree(self._parts_of(result.cell_id), ignore_errors=True)

    def get(self, cell_id: str) -> CellResult | None:
        """Return a cell's result; None where it is absent or was damaged."""
        return _of_cell(cell_id, self._cell_path(cell_id))

    def put_part(self, cell_id: str, part: str, result: CellResult) -> None:
        """Keep what a part of a cell's images came to, until the cell itself is kept."""
        write_text(Path(self._part_path(cell_id, part)), result_to_json(result))

    def part(self, cell_id: str, part: str) -> CellResult | None:
        """Return what a part came to; None where it is absent or was damaged."""
        return _of_cell(cell_id, self._part_path(cell_id, part))

    def path_of(self, folder: str, key: str, suffix: str) -> Path:
        """Return the path of a file that is called by an id, in a folder of the suite."""
        return self.folder / folder / f"{self._checked(key)}.{suffix}"

    def put_lock(self, lock: Lock) -> None:
        """Keep what the suite's names stand for now."""
        write_text(self.folder / "lock.json", _LOCK.dump_json(lock, indent=1).decode())

    def lock(self) -> Lock:
        """Return the lock of the last run, or an empty one."""
        return read_lock(self.folder) or Lock()

    def sweep(self) -> None:
        """Remove what killed processes were writing; nobody else may write to the suite now.

        Crafts are shared with other suites: of those only what has lain for a day goes.
        """
        for path in [*self.folder.glob("cells/.*.json.*"), *self.folder.glob("parts/*/.*.json.*")]:
            if not path.is_dir():
                path.unlink(missing_ok=True)
        now = time.time()
        for path in self.crafts.glob(".*.safetensors.*"):
            if now - path.lstat().st_mtime > _DAY and not path.is_dir():
                path.unlink(missing_ok=True)

    def put_craft(self, key: str, craft: Craft) -> None:
        """Keep a part of a craft."""
        name = "image" if craft.kept.dtype == np.uint8 else "delta"
        took = {"forwards": str(craft.forwards), "backwards": str(craft.backwards)}
        data = save({name: craft.kept}, took)
        write_atomically(self._craft_path(key), lambda path: path.write_bytes(data))

    def craft(self, key: str) -> Craft | None:
        """Return a part of a craft; None where it is absent or was damaged."""
        path = str(self._craft_path(key))
        return read_stored(path, lambda: _read_craft(path))

    def has_craft(self, key: str) -> bool:
        """Return whether a part of a craft is there; it may be damaged."""
        path = self._craft_path(key)
        return read_with_retry(str(path), path.stat) is not None

    @contextmanager
    def crafting(self, key: str, patient: Callable[[], None]) -> Iterator[None]:
        """Make others who want the same part of a craft, in other runs too, wait until it is made.

        The kernel lets go of the lock when its holder dies. Who waits calls `patient` every
        second, which may raise.
        """
        path = self._craft_path(key)
        folder = path.parent / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{path.stem}.lock", timeout=1.0)
        while not lock.is_locked:
            try:
                lock.acquire()
            except Timeout:
                patient()
        try:
            yield
        finally:
            lock.release()

    def _craft_path(self, key: str) -> Path:
        if not is_key(key):
            raise UserError(f"{self.crafts}: got the craft {shown(key)}; allowed: ID.PART")
        return self.crafts / f"{key}.safetensors"

    def _cell_path(self, cell_id: str) -> str:  # a text, as ten thousand Paths take long
        return f"{self.folder}/cells/{self._checked(cell_id)}.json"

    def _parts_of(self, cell_id: str) -> Path:
        return self.folder / "parts" / self._checked(cell_id)

    def _part_path(self, cell_id: str, part: str) -> str:
        if not is_part(part):
            raise UserError(f"{self.folder}: got the part {shown(part)}; allowed: 7 digits or more")
        return f"{self._parts_of(cell_id)}/{part}.json"

    def _checked(self, cell_id: str) -> str:
        if not is_id(cell_id):
            raise UserError(
                f"{self.folder}: got the id {shown(cell_id)}; allowed: {ID_LENGTH} digits 0-9a-f"
            )
        return cell_id


def _of_cell(cell_id: str, path: str) -> CellResult | None:
    def read_own() -> CellResult:
        found = read_result_file(path)
        if found.cell_id != cell_id:
            raise ValueError(f"is of the cell {shown(found.cell_id)}")
        return found

    return read_stored(path, read_own)


def _read_craft(path: str) -> Craft:
    with open(path, "rb"):
        pass  # whose errors have a number, which the library's lack
    with safe_open(path, "numpy") as file:
        (name,) = file.keys()
        took = file.metadata()
        return Craft(file.get_tensor(name), int(took["forwards"]), int(took["backwards"]))


def read_lock(folder: Path) -> Lock | None:
    """Return the lock in a suite's folder of results; None where there is none.

    Raises:
        UserError: It is damaged, or cannot be read.
    """
    path = folder / "lock.json"
    content = read_with_retry(str(path), path.read_bytes)
    try:
        return None if content is None else _LOCK.validate_json(content)
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); run the suite again") from error


def _refuse_links_out(root: Path, folder: Path) -> None:
    """Refuse links out of the folder of all results among what is written to or removed.

    Files that are put in place of what was there, be it a link, are not looked at.
    """
    shared = (root / "crafts", root / "crafts" / ".locks", root / "judged")
    found = [str(path) for path in (folder, *shared) if path.is_symlink()]
    for place in (folder, *(folder / name for name in _WITH_FOLDERS), *shared[1:]):
        found += read_with_retry(str(place), partial(_links, place)) or []  # most are not there
    real = os.path.realpath(root)
    for link in found:
        target = os.path.realpath(link)
        if os.path.commonpath((target, real)) != real:
            raise UserError(
                f"{link}: is a link to {target}, out of the folder of results {root}; nothing is "
                "written there: remove the link, or give the real folder with --results"
            )


def _links(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_symlink()]


def write_text(path: Path, text: str) -> None:
    """Put a text in place of a file, all or nothing."""
    write_atomically(path, lambda part: part.write_text(text, "utf-8"))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all, as `radapt.atomic_write` does.

    Raises:
        DiskFull: There is no room for it.
    """
    try:
        atomic_write.write_atomically(path, write)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"{path.parent}: the disk is full; what is finished is kept: make room, and run again"
        ) from error
