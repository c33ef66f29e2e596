"""A cell's result as text: quick to read, since tables read ten thousand of them."""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from bench.core.types import CellResult

LONGEST = 64 << 20  # bytes of a result: a cell of a million images
_BETWEEN = "|"  # between the ids of images; JSON needs no escape for it
_FLOATS = (
    "<f4"  # distances and scores are kept as their bytes in hexadecimal, which is read fastest
)


def written(result: CellResult) -> str:
    """Return a result as text."""
    record = {
        **asdict(result),
        "correct": _digits(result.correct),
        "sample_ids": _joined(result.sample_ids),
        "distance": result.distance.astype(_FLOATS).tobytes().hex(),
    }
    del record["again"], record["reached"]
    if result.reached is not None:
        record["reached"] = _digits(result.reached)
    if result.scores is None:
        del record["scores"]
    else:
        record["scores"] = result.scores.astype(_FLOATS).tobytes().hex()
    if result.texts:  # half of a pair of code points is no text, and could not be read back
        record["texts"] = [text.encode("utf-8", "replace").decode() for text in result.texts]
    else:
        del record["texts"]
    return json.dumps(record)


def read(path: str) -> CellResult | None:
    """Return the result in a file, or None where there is none that can be read.

    What is no ordinary file is not read: a link may lead anywhere, and a pipe never ends.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            record = from_json(file.read())
        return CellResult(
            cell_id=record["cell_id"],
            status=record["status"],
            correct=_booleans(record["correct"]),
            sample_ids=_split(record["sample_ids"]),
            distance=_floats(record["distance"]),
            seconds=record["seconds"],
            queries=record["queries"],
            provenance=record["provenance"],
            reason=record["reason"],
            flags=tuple(record.get("flags", ())),  # records of before have none
            scores=_floats(record["scores"]) if "scores" in record else None,
            texts=tuple(record.get("texts", ())),
            reached=_booleans(record["reached"]) if "reached" in record else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent or damaged: to be computed


def _open(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode) or state.st_size > LONGEST:
        os.close(descriptor)
        raise OSError(f"{path}: is no file of at most {LONGEST >> 20} MiB")
    return descriptor


def _digits(flags: NDArray[np.bool_]) -> str:
    return (flags + np.uint8(ord("0"))).tobytes().decode()


def _booleans(digits: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.frombuffer(digits.encode(), np.uint8) == ord("1")
    return found


def _joined(ids: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return ids as one text, which reads back much faster than a list where that is safe."""
    return ids if not ids or any(_BETWEEN in key for key in ids) else _BETWEEN.join(ids)


def _split(ids: str | Sequence[str]) -> tuple[str, ...]:
    return _same_ids(ids) if isinstance(ids, str) else tuple(ids)


@lru_cache(maxsize=64)  # a dataset's cells have the same images: they are kept once
def _same_ids(text: str) -> tuple[str, ...]:
    return tuple(text.split(_BETWEEN))


def _floats(kept: str | Sequence[float]) -> NDArray[np.float32]:
    """Return numbers from their bytes, or distances from a list as records of before have them."""
    if not isinstance(kept, str):
        return np.array(kept, dtype=np.float32)
    return np.frombuffer(bytes.fromhex(kept), _FLOATS).astype(np.float32)
