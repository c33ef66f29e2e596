"""Results on disk: one JSON file per cell, one safetensors file per shared craft.

    <root>/<suite>/lock.json            what the suite's names stood for
    <root>/<suite>/cells/<id>.json      one result
    <root>/crafts/<craft_id>.safetensors

Every file is written beside its place and renamed into it: a reader sees all or nothing.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from pydantic_core import from_json
from safetensors.numpy import load_file, save_file

from bench.errors import UserError
from bench.plan import Lock
from bench.types import CellResult

_LOCK: TypeAdapter[Lock] = TypeAdapter(Lock)
_BETWEEN = "|"  # between the ids of images; JSON needs no escape for it
_FLOATS = "<f4"  # distances are kept as their bytes in hexadecimal, which is read fastest


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
            "correct": (result.correct + np.uint8(ord("0"))).tobytes().decode(),
            "sample_ids": _joined(result.sample_ids),
            "distance": result.distance.astype(_FLOATS).tobytes().hex(),
        }
        del record["again"]
        write_text(Path(self._cell_path(result.cell_id)), json.dumps(record))

    def get(self, cell_id: str) -> CellResult | None:
        """Return a cell's result, or None where there is none that can be read."""
        try:
            with open(self._cell_path(cell_id), "rb") as file:
                record = from_json(file.read())
            return CellResult(
                cell_id=record["cell_id"],
                status=record["status"],
                correct=np.frombuffer(record["correct"].encode(), np.uint8) == ord("1"),
                sample_ids=_split(record["sample_ids"]),
                distance=_floats(record["distance"]),
                seconds=record["seconds"],
                queries=record["queries"],
                provenance=record["provenance"],
                reason=record["reason"],
                flags=tuple(record.get("flags", ())),  # records of before have none
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
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

    def _cell_path(self, cell_id: str) -> str:  # a text, as ten thousand Paths take long
        return f"{self.folder}/cells/{cell_id}.json"

    def _craft_path(self, craft_id: str) -> Path:
        return self.crafts / f"{craft_id}.safetensors"


def _joined(ids: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return ids as one text, which reads back much faster than a list where that is safe."""
    return ids if not ids or any(_BETWEEN in key for key in ids) else _BETWEEN.join(ids)


def _split(ids: str | Sequence[str]) -> tuple[str, ...]:
    return _same_ids(ids) if isinstance(ids, str) else tuple(ids)


@lru_cache(maxsize=64)  # a dataset's cells have the same images: they are kept once
def _same_ids(text: str) -> tuple[str, ...]:
    return tuple(text.split(_BETWEEN))


def _floats(kept: str | Sequence[float]) -> NDArray[np.float32]:
    """Return distances from their bytes, or from a list as records of before have them."""
    if not isinstance(kept, str):
        return np.array(kept, dtype=np.float32)
    return np.frombuffer(bytes.fromhex(kept), _FLOATS).astype(np.float32)


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
