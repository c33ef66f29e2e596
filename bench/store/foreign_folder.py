"""Read results from other people's folders; ids, fields and links are checked."""

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from bench.core.errors import UserError
from bench.core.identifiers import ID_LENGTH, is_id, shown
from bench.core.types import CellResult
from bench.store.cell_records import result_from_json
from bench.store.checksums import has_checksum
from bench.store.portable_records import check_result, first_fault
from bench.store.reading import DAMAGE, read_bytes, read_with_retry

ResultReader = Callable[[str], CellResult | None]


def result_reader(folder: Path) -> ResultReader:
    """Return a function that reads a cell's result from another's folder of a suite.

    The function returns None if the file is missing or truncated. It raises UserError, naming the
    file and the field, if the file is a link, has the result of another cell, has an invalid field,
    or does not fit its checksum.
    """
    refuse_link(folder / "cells")

    def get(cell_id: str) -> CellResult | None:
        if not is_id(cell_id):
            raise UserError(
                f"{folder}: cell_id: got {shown(cell_id)}; allowed: {ID_LENGTH} digits 0-9a-f"
            )
        path = folder / "cells" / f"{cell_id}.json"
        refuse_link(path)
        try:
            content = read_with_retry(str(path), lambda: read_bytes(str(path)))
            if content is None:
                return None
            result = result_from_json(content)
        except DAMAGE:
            return None
        try:
            check_result(result)
        except ValidationError as error:
            raise UserError(f"{path}: {first_fault(error)}") from error
        if result.cell_id != cell_id:
            raise UserError(
                f"{path}: cell_id: got {shown(result.cell_id)}; allowed: the name of its file"
            )
        try:
            has_checksum(cell_id, content)
        except ValueError as error:
            raise UserError(f"{path}: {error}; ask for the file again") from error
        return result

    return get


def refuse_link(path: Path) -> None:
    """Raise UserError if a path is a link."""
    if os.path.islink(path):
        raise UserError(f"{path}: is a link; allowed in results of others: files and folders")
