"""Files of crafts: adversarial images with the passes that they cost, and a checksum."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from bench.store.checksums import checksum
from bench.store.writing import write_atomically

_TYPES = {"delta": np.dtype(np.float16), "image": np.dtype(np.uint8)}  # by name of the tensor


@dataclass(frozen=True, slots=True)
class Craft:
    """Adversarial images in their storage format, with the passes that they cost.

    Attributes:
        kept: Perturbations in float16 or images in uint8, `[n,3,h,w]`.
        forwards: Number of images sent forward.
        backwards: Number of images for which a gradient was computed.
    """

    kept: NDArray[Any]
    forwards: int
    backwards: int


def write_craft(path: Path, key: str, craft: Craft) -> None:
    """Write a part of a craft to its file.

    Raises:
        StoreError: It cannot be written.
    """
    name = next(name for name, kind in _TYPES.items() if kind == craft.kept.dtype)
    passes = {"forwards": str(craft.forwards), "backwards": str(craft.backwards)}
    data = save({name: craft.kept}, {**passes, "checksum": _checksum(key, craft)})
    write_atomically(path, lambda part: part.write_bytes(data))


def read_craft(path: str, key: str, shape: tuple[int, ...] | None) -> Craft:
    """Return the part of a craft in a file.

    Args:
        path: The file.
        key: Key of the part.
        shape: The shape that its images must have; None if it is not known.

    Raises:
        OSError: The file does not exist or cannot be read.
        ValueError, KeyError, TypeError, SafetensorError: The file is damaged, or has other images.
    """
    with open(path, "rb"):
        pass  # raises an OSError with `errno`, unlike safetensors
    with safe_open(path, "numpy") as file:
        (name,) = file.keys()
        facts = file.metadata()
        craft = Craft(file.get_tensor(name), int(facts["forwards"]), int(facts["backwards"]))
    kept = craft.kept
    if kept.dtype != _TYPES[name]:
        raise ValueError(f"`{name}` has the type {kept.dtype}; allowed: {_TYPES[name]}")
    if shape is not None and kept.shape != shape:
        raise ValueError(f"its images have the shape {list(kept.shape)}, needed: {list(shape)}")
    if "checksum" in facts:
        if facts["checksum"] != _checksum(key, craft):
            raise ValueError("its checksum does not fit its content and name")
    elif not np.isfinite(kept).all():
        raise ValueError("has values that are not finite")
    elif not kept.any():
        raise ValueError("all its values are 0, and it has no checksum that confirms them")
    return craft


def _checksum(key: str, craft: Craft) -> str:
    kept = np.ascontiguousarray(craft.kept)
    facts = f"{kept.dtype} {kept.shape} {craft.forwards} {craft.backwards}\n"
    return checksum(key, facts.encode(), kept.data)
