"""Another's results, of a bundle or a folder, read with the same suspicion.

What is asked of a line of a bundle is asked of a folder's files: ids have their form, and a
result's fields fit each other. A file must also be of the cell that it is called by, and lie in
the folder itself.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.core.errors import UserError
from bench.core.identifiers import ID_LENGTH, is_id, shown
from bench.core.locks import Lock
from bench.core.types import CellResult
from bench.share.bundle import read_bundle
from bench.store.cell_records import read
from bench.store.portable_records import check_result, fault_of
from bench.store.results_folder import read_lock
from bench.suite.load import Suite

Get = Callable[[str], CellResult | None]


@dataclass(frozen=True, slots=True)
class Foreign:
    """What another has of a suite.

    Attributes:
        suite: Its suite's name.
        lock: What names stand for there.
        get: Returns the result of a cell, or None where there is none.
    """

    suite: str
    lock: Lock
    get: Get


def open_foreign(suite: Suite, other: Path) -> Foreign:
    """Open a bundle, a folder of the suite's results, or one of all results.

    Raises:
        UserError: It is none of these, or is damaged.
    """
    if other.is_file():
        bundle = read_bundle(other)
        return Foreign(bundle.suite, bundle.lock, bundle.results.get)
    for folder in (other, other / suite.suite):
        path = folder / "lock.json"
        if path.is_file():
            _refuse_link(path)
            return Foreign(folder.name, read_lock(folder), results_in(folder))
    raise UserError(
        f"{other}: no results: needed is a bundle (of `export --bundle`), or a folder with the "
        f"lock.json of a suite, or one with a folder {suite.suite}"
    )


def results_in(folder: Path) -> Get:
    """Return a reader of the results in another's folder of a suite.

    It raises UserError, which names the file and the field, where a file is a link, is of another
    cell, or has a field that does not fit; a file that is cut short counts as none.
    """
    _refuse_link(folder / "cells")

    def get(cell_id: str) -> CellResult | None:
        if not is_id(cell_id):
            raise UserError(
                f"{folder}: cell_id: got {shown(cell_id)}; allowed: {ID_LENGTH} digits 0-9a-f"
            )
        path = folder / "cells" / f"{cell_id}.json"
        _refuse_link(path)
        try:
            result = read(str(path))
            if result is not None:
                check_result(result)
        except ValidationError as error:
            raise UserError(f"{path}: {fault_of(error)}") from error
        if result is not None and result.cell_id != cell_id:
            raise UserError(
                f"{path}: cell_id: got {shown(result.cell_id)}; allowed: the name of its file"
            )
        return result

    return get


def _refuse_link(path: Path) -> None:
    if os.path.islink(path):
        raise UserError(f"{path}: is a link; allowed in another's results: files and folders")
