"""Read results from other people's folders; ids, fields and links are checked."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from bench.core.errors import UserError
from bench.core.identifiers import ID_LENGTH, is_id, shown
from bench.core.types import CellResult
from bench.store.cell_log import OLD, CellLog
from bench.store.cell_records import result_from_json
from bench.store.checksums import has_checksum
from bench.store.portable_records import check_result, first_fault
from bench.store.reading import DAMAGE, read_bytes, read_with_retry

ResultReader = Callable[[str], CellResult | None]


def result_reader(folder: Path) -> ResultReader:
    """Return a function that reads a cell's result from another's folder of a suite.

    The function returns None if there is no result. It raises UserError, naming the file and what
    is wrong, if a file is a link, or if the result is damaged, that of another cell, or has an
    invalid field.

    Raises:
        UserError: The folder of cells is a link, or has links.
    """
    cells = folder / "cells"
    refuse_link(cells)
    log = CellLog(cells, _refuse_damage)
    log.refresh()

    def get(cell_id: str) -> CellResult | None:
        if not is_id(cell_id):
            raise UserError(
                f"{folder}: cell_id: got {shown(cell_id)}; allowed: {ID_LENGTH} digits 0-9a-f"
            )
        path = cells / f"{cell_id}{OLD}"
        if cell_id in log.old and cell_id not in log:
            refuse_link(path)
            result = _read_old(path, cell_id)
        else:
            path, found = cells, log.get(cell_id)
            result = found.whole() if found else None
        if result is None:
            return None
        try:
            check_result(result)
        except ValidationError as error:
            raise UserError(f"{path}: cell {cell_id}: {first_fault(error)}") from error
        return result

    return get


def _read_old(path: Path, cell_id: str) -> CellResult | None:
    """Return the result in a file of an earlier version; None if it is not complete."""
    try:
        content = read_with_retry(str(path), lambda: read_bytes(str(path)))
        if content is None:
            return None
        result = result_from_json(content)
    except DAMAGE:
        return None
    if result.cell_id != cell_id:
        raise UserError(
            f"{path}: cell_id: got {shown(result.cell_id)}; allowed: the name of its file"
        )
    try:
        has_checksum(cell_id, content)
    except ValueError as error:
        raise UserError(f"{path}: {error}; ask for the file again") from error
    return result


def _refuse_damage(path: str, what: str, content: bytes, error: Exception) -> NoReturn:
    raise UserError(f"{path}: {what}: {error}; ask for the file again") from error


def refuse_link(path: Path) -> None:
    """Raise UserError if a path is a link."""
    if os.path.islink(path):
        raise UserError(f"{path}: is a link; allowed in results of others: files and folders")
