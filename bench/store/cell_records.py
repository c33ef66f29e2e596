"""Encode a cell's result: as JSON, or as a frame with a compressed body.

Parts of cells are stored as JSON, and so were cells by earlier versions. Cells are stored as frames
(`bench.store.frames`), whose bodies have the fields that a frame has not: two JSON objects with a
checksum each. The first has the details and ends with a line break. The second has the values per
image and is compressed; most tables need not read it. The first bodies were one object, compressed.
`bench.core.types.CellResult` declares the fields.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from bench.core.identifiers import shown
from bench.core.result_fields import Kind
from bench.core.terminal import legible
from bench.core.types import FIELDS, CellResult, Details
from bench.store.checksums import has_checksum, with_checksum
from bench.store.consistency import is_empty, result_fault
from bench.store.reading import read_bytes

_IN_FRAMES = ("correct", "sample_ids")  # fields that bodies lack
_END = b"\n"  # of the details
_FAST = 1  # of the levels of compression
_MAX_BODY = 64 << 20  # bytes: a cell of a million images

_SEPARATOR = "|"  # between the ids of images; JSON does not escape it
_FLOAT32 = "<f4"  # floats are stored as hexadecimal bytes, which are fastest to read


def result_to_json(result: CellResult, name: str) -> str:
    """Return a result as JSON, with a checksum.

    Args:
        result: The result.
        name: The id of the cell; for a part of a cell, its key `ID.PART`.
    """
    return with_checksum(name, json.dumps(dict(_encoded_fields(result))))


def result_to_body(result: CellResult) -> bytes:
    """Return the fields of a result that a frame has not, with checksums, compressed."""
    details, per_image = dict[str, object](), dict[str, object]()
    for name, value in _encoded_fields(result):
        if name not in _IN_FRAMES:
            (per_image if FIELDS[name].per_image else details)[name] = value
    first = with_checksum(result.cell_id, json.dumps(details)).encode()
    second = with_checksum(_per_image(result.cell_id), json.dumps(per_image)).encode()
    return first + _END + zlib.compress(second, _FAST)


def result_from_body(
    body: bytes, cell_id: str, correct: NDArray[np.bool_], sample_ids: tuple[str, ...]
) -> CellResult:
    """Return the result with a body.

    Args:
        body: The body, as `result_to_body` returned it.
        cell_id: Id of the cell.
        correct: Per image, whether the prediction is right.
        sample_ids: Ids of the images.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The body is damaged, or is that of another
            cell.
    """
    details, rest = _details(body, cell_id)
    fields = dict(_decoded_fields(details))
    if rest:
        content = _uncompressed(rest, _per_image(cell_id))
        fields |= dict(_decoded_fields(from_json(content)))
    return CellResult(**fields, correct=correct, sample_ids=sample_ids)


def details_from_body(body: bytes, cell_id: str) -> Details:
    """Return the details in a body; its values per image are not read.

    Raises:
        ValueError, KeyError, TypeError: As `result_from_body`.
    """
    found, _ = _details(body, cell_id)
    return Details(
        found["seconds"], found["queries"], found["provenance"], found["reason"],
        tuple(found["flags"]), found.get("load_seconds", 0.0),
    )  # fmt: skip


def check_body(body: bytes, cell_id: str) -> None:
    """Check a body without decoding its values.

    Raises:
        ValueError: It does not fit its checksums, or is that of another cell.
    """
    _, rest = _split(body, cell_id)
    if rest:
        _uncompressed(rest, _per_image(cell_id))


def _details(body: bytes, cell_id: str) -> tuple[dict[str, Any], bytes]:
    """Return the first object of a body, and its rest."""
    content, rest = _split(body, cell_id)
    found: dict[str, Any] = from_json(content)
    if found["cell_id"] != cell_id:
        raise ValueError(f"has the result of cell {shown(found['cell_id'])}")
    return found, rest


def _split(body: bytes, cell_id: str) -> tuple[bytes, bytes]:
    """Return the first object of a body with its checksum checked, and the rest of the body."""
    if not body.startswith(b"{"):
        return _uncompressed(body, cell_id), b""
    content, _, rest = body.partition(_END)
    if not has_checksum(cell_id, content):
        raise ValueError("has no checksum")
    return content, rest


def _per_image(cell_id: str) -> str:
    """Return the name under which the values per image are stored."""
    return f"{cell_id} per image"


def _uncompressed(compressed: bytes, name: str) -> bytes:
    """Return an object with its checksum checked."""
    unpacked = zlib.decompressobj()
    try:
        content = unpacked.decompress(compressed, _MAX_BODY)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if unpacked.unconsumed_tail:
        raise ValueError(f"is larger than {_MAX_BODY >> 20} MiB")
    if not has_checksum(name, content):
        raise ValueError("has no checksum")
    return content


def read_result_file(path: str, name: str) -> CellResult:
    """Return the result in a file of our own.

    Args:
        path: The file.
        name: The id of the cell; for a part of a cell, its key `ID.PART`.

    Raises:
        OSError: The file does not exist or cannot be read.
        ValueError, KeyError, TypeError, AttributeError: The file is damaged, or has the result of
            another cell or part.
    """
    content = read_bytes(path)
    result = result_from_json(content)
    if result.cell_id != name.partition(".")[0]:
        raise ValueError(f"has the result of cell {shown(result.cell_id)}")
    if not has_checksum(name, content) and (fault := result_fault(result)):
        raise ValueError(fault)
    return result


def result_from_json(content: bytes) -> CellResult:
    """Return the result in a JSON object, whose checksum and values are not checked.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is damaged.
    """
    return CellResult(**dict(_decoded_fields(from_json(content))))


def _encoded_fields(result: CellResult) -> Iterator[tuple[str, object]]:
    for name, field in FIELDS.items():
        value = getattr(result, name)
        if not (field.optional and is_empty(value)):
            yield name, _ENCODERS.get(field.kind, _unchanged)(value)


def _decoded_fields(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in FIELDS.items():
        if name in record:
            yield name, _DECODERS.get(field.kind, _unchanged)(record[name])


def _unchanged(value: object) -> object:
    return value


def to_digits(flags: NDArray[np.bool_]) -> str:
    """Return booleans as a string of digits such as `101`."""
    return (flags + np.uint8(ord("0"))).tobytes().decode()


def from_digits(text: str) -> NDArray[np.bool_]:
    """Return the booleans of a string of digits.

    Raises:
        ValueError: Another character than 0 and 1 is among them.
    """
    digits = np.frombuffer(text.encode(), np.uint8) - np.uint8(ord("0"))
    if digits.max(initial=0) > 1:  # a character below 0 wraps around
        raise ValueError("has a digit that is neither 0 nor 1")
    return digits.astype(np.bool_)


def _join_ids(ids: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return ids as a string, which is read much faster than a list; the list if unsafe."""
    return ids if not ids or any(_SEPARATOR in key for key in ids) else _SEPARATOR.join(ids)


def _split_ids(ids: str | Sequence[str]) -> tuple[str, ...]:
    return _cached_split(ids) if isinstance(ids, str) else tuple(ids)


@lru_cache(maxsize=64)  # all cells of a dataset share one tuple of ids
def _cached_split(text: str) -> tuple[str, ...]:
    return tuple(text.split(_SEPARATOR))


def _to_hex(values: NDArray[np.float32]) -> str:
    return values.astype(_FLOAT32).tobytes().hex()


def _from_hex(stored: str | Sequence[float]) -> NDArray[np.float32]:
    """Return floats from their hexadecimal bytes, or from the list of an earlier version."""
    if not isinstance(stored, str):
        return np.array(stored, dtype=np.float32)
    return np.frombuffer(bytes.fromhex(stored), _FLOAT32).astype(np.float32)


def _valid_texts(texts: Sequence[str]) -> list[str]:
    """Return texts without lone surrogates, which could not be read back."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


def _legible(flags: Sequence[str]) -> list[str]:
    return [legible(flag) for flag in flags]


_ENCODERS: Mapping[Kind, Callable[[Any], object]] = {
    "booleans": to_digits,
    "floats": _to_hex,
    "ids": _join_ids,
    "texts": _valid_texts,
    "flags": _legible,
    "reason": lambda reason: reason and legible(reason),
    "facts": dict,
}
_DECODERS: Mapping[Kind, Callable[[Any], object]] = {
    "booleans": from_digits,
    "floats": _from_hex,
    "ids": _split_ids,
    "texts": tuple,
    "flags": tuple,
}
