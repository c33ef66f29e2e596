"""Results on disk: one JSON file per cell, one safetensors file per shared craft.

    <root>/<suite>/lock.json            what the suite's names stood for
    <root>/<suite>/cells/<id>.json      one result
    <root>/crafts/<craft_id>.safetensors

Every file is written beside its place and renamed into it: a reader sees all or nothing.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors.numpy import load_file, save_file

from bench.errors import UserError
from bench.plan import Lock
from bench.types import CellResult

_LOCK: TypeAdapter[Lock] = TypeAdapter(Lock)


class Store:
    """The results of one suite, and the crafts that all suites under the root share."""

    def __init__(self, root: Path, suite: str) -> None:
        """Open the store; folders are made when first written to."""
        self.folder = root / suite
        self.crafts = root / "crafts"

    def put(self, result: CellResult) -> None:
        """Keep a result; it replaces an earlier one of the same cell."""
        record = {
            **asdict(result),
            "correct": "".join("1" if flag else "0" for flag in result.correct),
            "distance": [round(float(value), 8) for value in result.distance],
        }
        del record["again"]
        write_text(self.folder / "cells" / f"{result.cell_id}.json", json.dumps(record))

    def get(self, cell_id: str) -> CellResult | None:
        """Return a cell's result, or None where there is none that can be read."""
        try:
            record = json.loads((self.folder / "cells" / f"{cell_id}.json").read_text("utf-8"))
            return CellResult(
                cell_id=record["cell_id"],
                status=record["status"],
                correct=np.array([flag == "1" for flag in record["correct"]], dtype=np.bool_),
                sample_ids=tuple(record["sample_ids"]),
                distance=np.array(record["distance"], dtype=np.float32),
                seconds=record["seconds"],
                queries=record["queries"],
                provenance=record["provenance"],
                reason=record["reason"],
                flags=tuple(record.get("flags", ())),  # records of before have none
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent or damaged: the cell is to be computed

    def finished(self, cell_id: str) -> bool:
        """Return whether a cell needs no computing: a failure is tried again."""
        result = self.get(cell_id)
        return result is not None and result.status != "failed"

    def put_lock(self, lock: Lock) -> None:
        """Keep what the suite's names stand for now."""
        write_text(self.folder / "lock.json", _LOCK.dump_json(lock, indent=1).decode())

    def lock(self) -> Lock:
        """Return the lock of the last run, or an empty one."""
        path = self.folder / "lock.json"
        try:
            return _LOCK.validate_json(path.read_bytes())
        except FileNotFoundError:
            return Lock()
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error}); run the suite again") from error

    def put_craft(self, craft_id: str, kept: NDArray[Any]) -> None:
        """Keep a craft `[n,3,h,w]`: perturbations, or images where they have 8 bits."""
        name = "image" if kept.dtype == np.uint8 else "delta"
        write_atomically(self._craft_path(craft_id), lambda path: save_file({name: kept}, path))

    def craft(self, craft_id: str) -> NDArray[Any] | None:
        """Return a craft as it was kept, or None where there is none that can be read."""
        try:
            (kept,) = load_file(self._craft_path(craft_id)).values()
            return kept
        except Exception:  # safetensors raises its own kinds; absent or damaged: craft again
            return None

    def _craft_path(self, craft_id: str) -> Path:
        return self.crafts / f"{craft_id}.safetensors"


def write_text(path: Path, text: str) -> None:
    """Put a text in place of a file, all or nothing."""
    write_atomically(path, lambda part: part.write_text(text, "utf-8"))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a file beside `path`, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)  # mkstemp makes files that only their owner can read
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
