"""Contradictions between the fields of a cell's result."""

from collections.abc import Mapping, Sized
from typing import Any, get_args

import numpy as np

from bench.core.types import FIELDS, CellResult, Status


def length_fault(values: Mapping[str, Any]) -> str | None:
    """Return how the lengths of a result's fields contradict each other, or None.

    Args:
        values: The value of each field of `CellResult`; values per image have any type with a
            length.
    """
    ids, correct = values["sample_ids"], values["correct"]
    if len(set(ids)) < len(ids):
        return "sample_ids: two images have the same id; ids must differ"
    if (values["status"] == "ok") != bool(len(correct)):
        return "correct: must have values if `status` is ok, and none otherwise"
    for name, field in FIELDS.items():
        if field.per_image and not (field.optional and is_empty(values[name])):
            count, images = len(values[name]), len(ids)
            if count != images:
                return (
                    f"{name}: got {count} values for {images} images; allowed: one for each image"
                )
    return None


def is_empty(value: Sized | float | None) -> bool:
    """Return whether an optional field has no value: None, zero, or nothing for any image."""
    return value is None or (not len(value) if isinstance(value, Sized) else not value)


def result_fault(result: CellResult) -> str | None:
    """Return why a stored result without a checksum cannot be what was computed, or None."""
    if result.status not in get_args(Status):
        return f"status: got {result.status!r}; allowed: {', '.join(get_args(Status))}"
    for name, field in FIELDS.items():
        value = getattr(result, name)
        if field.kind in ("floats", "seconds") and value is not None:
            lowest, highest = (np.min(value), np.max(value)) if np.size(value) else (0, 0)
            if not 0 <= lowest <= highest < np.inf:
                return f"{name}: got {lowest:g} to {highest:g}; allowed: numbers of at least 0"
    return length_fault({name: getattr(result, name) for name in FIELDS})
