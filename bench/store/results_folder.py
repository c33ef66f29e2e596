"""Results on disk: few files for all cells, one safetensors file per part of a shared craft.

    <root>/<suite>/lock.json                 the lock of the suite
    <root>/<suite>/cells/                    the results of cells (`bench.store.cell_log`)
    <root>/<suite>/cells.names               the names of the cells (`bench.plan.cell_names`)
    <root>/<suite>/parts/<id>/<part>.json    results of parts of an unfinished cell
    <root>/<suite>/set_aside/                damaged files with reasons (`bench.store.set_aside`)
    <root>/crafts/<craft_id>.<part>.safetensors
    <root>/judged/                           replies of judges that are language models

The results of cells are appended. Every other file is written under a temporary name and then
renamed, so a reader never sees half a file.
Methods that read return None if a file is absent, or damaged and set aside (`bench.store.reading`);
they raise `Unreadable` if it cannot be read.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path

from pydantic import TypeAdapter

from bench.core.errors import UserError
from bench.core.file_lock import locked
from bench.core.identifiers import ID_LENGTH, is_id, is_key, is_part, shown
from bench.core.resolved_names import Lock
from bench.core.types import CellResult, Result, Status
from bench.plan.cell_names import KnownNames, from_bytes, to_bytes
from bench.store import set_aside
from bench.store.cell_log import OLD, CellLog
from bench.store.cell_records import read_result_file, result_to_json
from bench.store.crafts import Craft, read_craft, write_craft
from bench.store.reading import keep_damaged, read_stored, read_with_retry
from bench.store.tidying import tidy
from bench.store.writing import write_atomically, write_text, writing

_DAY = 86400.0  # seconds
# these have subfolders, or files that are written in place
_CHECKED_FOLDERS = ("parts", "runs", "figures")


class Store:
    """The stored results of a suite, and the crafts that all suites in a folder share."""

    def __init__(self, root: Path, suite: str) -> None:
        """Open the store; folders are created when a file is first written.

        Args:
            root: Folder of the results of all suites.
            suite: Name of the suite.

        Raises:
            UserError: A link in the store leads out of `root`, so files elsewhere would be written
                or removed.
        """
        self.folder = root / suite
        self.crafts = root / "crafts"
        self.judge_replies = root / "judged"
        self.set_aside = self.folder / set_aside.FOLDER
        self.cells = CellLog(self.folder / "cells", partial(keep_damaged, self.set_aside))
        _refuse_links_out(root, self.folder)

    def put(self, result: CellResult) -> None:
        """Store a result; it replaces the cell's earlier result and, if finished, its parts.

        Another process sees it at once. It is on the disk within a second of stored results, or
        after `flush`.
        """
        self._checked_id(result.cell_id)
        self.cells.put([result])
        if result.finished and os.path.isdir(parts := self._parts_folder(result.cell_id)):
            shutil.rmtree(parts, ignore_errors=True)

    def flush(self) -> None:
        """Wait until the disk has all stored results."""
        self.cells.flush()

    def get(self, cell_id: str) -> CellResult | None:
        """Return a cell's result as it is now; None if it is absent or damaged."""
        found = self.find([self._checked_id(cell_id)]).get(cell_id)
        return None if found is None else found.whole()

    def find(self, cell_ids: Iterable[str]) -> Mapping[str, Result]:
        """Return the results of cells as they are now, without those that are absent.

        The rest of a result is read when it is asked for, so damage to it shows only then.
        """
        self.cells.refresh()
        keys = list(cell_ids)
        found = self.cells.find(keys)
        if not self.cells.old:
            return found
        old = ((key, self._old_result(key)) for key in filter(self._is_old, keys))
        return {**found, **{key: result for key, result in old if result is not None}}

    def statuses(self) -> Mapping[bytes, Status]:
        """Return the status of each stored cell as it is now, by its id in 10 bytes.

        No result is read, so damage to the rest of a result does not show.
        """
        self.cells.refresh()
        old = {bytes.fromhex(key): key for key in self.cells.old if self._is_old(key)}
        found = {cell: self._old_result(key) for cell, key in old.items()}
        others = {cell: result.status for cell, result in found.items() if result is not None}
        return {**self.cells.statuses(), **others}

    def put_part(self, cell_id: str, part: str, result: CellResult) -> None:
        """Store the result of a part of a cell's images until the cell is finished."""
        path = Path(self._part_path(cell_id, part))
        write_text(path, result_to_json(result, f"{cell_id}.{part}"))

    def part(self, cell_id: str, part: str) -> CellResult | None:
        """Return the result of a part; None if it is absent or damaged."""
        return self._read_result(self._part_path(cell_id, part), f"{cell_id}.{part}")

    def path_of(self, folder: str, key: str, suffix: str) -> Path:
        """Return the path of a file that is named by an id, in a subfolder of the suite."""
        return self.folder / folder / f"{self._checked_id(key)}.{suffix}"

    def put_lock(self, lock: Lock) -> None:
        """Store the lock of the suite."""
        write_text(self.folder / "lock.json", _lock_adapter().dump_json(lock, indent=1).decode())

    def lock(self) -> Lock:
        """Return the lock of the last run, or an empty one."""
        return read_lock(self.folder) or Lock()

    def put_names(self, key: bytes, names: KnownNames) -> None:
        """Store the names of the suite's cells under the key of `names_key`."""
        content = to_bytes(key, names)
        write_atomically(self._names_path, lambda part: part.write_bytes(content))

    def names(self, key: bytes) -> KnownNames | None:
        """Return the names that are stored under a key; None if there are none."""
        content = read_with_retry(str(self._names_path), self._names_path.read_bytes)
        return None if content is None else from_bytes(key, content)

    def tidy(self) -> None:
        """Tidy the results of cells, and remove temporary files of killed processes.

        No other process may write to the suite meanwhile.
        Crafts are shared with other suites, so their temporary files are removed after a day.
        """
        for path in [
            *self.folder.glob("cells/.*.images.*"),
            *self.folder.glob("parts/*/.*.json.*"),
        ]:
            if not path.is_dir():
                with writing(path):
                    path.unlink(missing_ok=True)
        now = time.time()
        for path in self.crafts.glob(".*.safetensors.*"):
            if now - path.lstat().st_mtime > _DAY and not path.is_dir():
                with writing(path):
                    path.unlink(missing_ok=True)
        tidy(self.cells, self._old_result)

    def put_craft(self, key: str, craft: Craft) -> None:
        """Store a part of a craft."""
        write_craft(self._craft_path(key), key, craft)

    def craft(self, key: str, shape: tuple[int, ...] | None = None) -> Craft | None:
        """Return a part of a craft; None if it is absent or damaged.

        Args:
            key: Key of the part.
            shape: The shape `[n,3,h,w]` that its images must have; None if it is not known.
        """
        path = str(self._craft_path(key))
        return read_stored(path, lambda: read_craft(path, key, shape), self.set_aside)

    def has_craft(self, key: str) -> bool:
        """Return whether the file of a part of a craft exists; it may be damaged."""
        path = self._craft_path(key)
        return read_with_retry(str(path), path.stat) is not None

    @contextmanager
    def crafting(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Lock a part of a craft while it is made; processes of all runs wait for each other.

        Args:
            key: Key of the part.
            on_wait: Called every second while waiting; may raise to stop waiting.
        """
        path = self._craft_path(key)
        lock = path.parent / ".locks" / f"{path.stem}.lock"
        with ExitStack() as held:
            with writing(lock):
                held.enter_context(locked(lock, on_wait))
            yield

    @property
    def _names_path(self) -> Path:
        return self.folder / "cells.names"

    def _craft_path(self, key: str) -> Path:
        if not is_key(key):
            raise UserError(f"{self.crafts}: got the craft {shown(key)}; allowed: ID.PART")
        return self.crafts / f"{key}.safetensors"

    def _parts_folder(self, cell_id: str) -> str:
        return f"{self.folder}/parts/{self._checked_id(cell_id)}"

    def _part_path(self, cell_id: str, part: str) -> str:
        if not is_part(part):
            raise UserError(f"{self.folder}: got the part {shown(part)}; allowed: 7 digits or more")
        return f"{self._parts_folder(cell_id)}/{part}.json"

    def _is_old(self, key: str) -> bool:
        """Return whether only an earlier version has stored a cell's result."""
        return key in self.cells.old and key not in self.cells

    def _old_result(self, key: str) -> CellResult | None:
        return self._read_result(f"{self.cells.folder}/{key}{OLD}", key)

    def _read_result(self, path: str, name: str) -> CellResult | None:
        return read_stored(path, lambda: read_result_file(path, name), self.set_aside)

    def _checked_id(self, cell_id: str) -> str:
        if not is_id(cell_id):
            raise UserError(
                f"{self.folder}: got the id {shown(cell_id)}; allowed: {ID_LENGTH} digits 0-9a-f"
            )
        return cell_id


def read_lock(folder: Path) -> Lock | None:
    """Return the lock in a suite's folder of results; None if there is none.

    Raises:
        UserError: The lock is damaged or cannot be read.
    """
    path = folder / "lock.json"
    content = read_with_retry(str(path), path.read_bytes)
    try:
        return None if content is None else _lock_adapter().validate_json(content)
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); run the suite again") from error


@cache
def _lock_adapter() -> TypeAdapter[Lock]:
    return TypeAdapter(Lock)


def _refuse_links_out(root: Path, folder: Path) -> None:
    """Refuse links that lead out of `root` in folders where files are written or removed.

    Files that are replaced are not checked, since replacing a link leaves its target unchanged.
    """
    shared = (root / "crafts", root / "crafts" / ".locks", root / "judged")
    found = [str(path) for path in (folder, *shared) if path.is_symlink()]
    for path in (folder, *(folder / name for name in _CHECKED_FOLDERS), *shared[1:]):
        found += read_with_retry(str(path), partial(_list_links, path)) or []  # most do not exist
    real = os.path.realpath(root)
    for link in found:
        target = os.path.realpath(link)
        if os.path.commonpath((target, real)) != real:
            raise UserError(
                f"{link}: is a link to {target}, outside the results folder {root}; nothing was "
                "written: remove the link, or give the real folder with --results"
            )


def _list_links(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_symlink()]
