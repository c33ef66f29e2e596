"""The results of a cell per image, and its passes, while the cell is computed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks.query_counter import QueryCounter
from bench.core.types import FIELDS, CellResult


@dataclass(slots=True)
class Tally:
    """The results of a cell so far; updated while the cell is computed.

    Attributes:
        correct: Whether each image (in text-to-image retrieval each caption) is right, `[n]`.
        distance: Norm of each image's perturbation, `[n]`.
        sample_ids: Ids of the images or captions of `correct`.
        flags: Warnings that belong beside the number.
        forwards: Number of images sent forward.
        backwards: Number of images for which a gradient was computed.
        seconds: Time that earlier runs and other workers spent on the cell, without loading.
        batch: Smallest batch size of the attack; 0 if nothing was attacked.
        scores: Score of each image, `[n]`; None if the metric has only right and wrong.
        texts: The target's answer to each image; empty if it does not answer in words.
        reached: Whether the target ever said the text that the attack aims at, `[n]`; None if the
            attack aims at no text.
        extra: Other quantities per image, by the name of their field in `CellResult`.
        load_seconds: Time that earlier runs and other workers spent on loading.
    """

    correct: NDArray[np.bool_]
    distance: NDArray[np.float32]
    sample_ids: tuple[str, ...]
    flags: tuple[str, ...] = ()
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    batch: int = 0
    scores: NDArray[np.float32] | None = None
    texts: list[str] = field(default_factory=list)
    reached: NDArray[np.bool_] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    load_seconds: float = 0.0

    def note(self, name: str, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Set an extra quantity of some images; it is 0 for images that are never set."""
        if name not in self.extra:
            self.extra[name] = np.zeros(len(self.sample_ids), values.dtype)
        self.extra[name][rows] = values

    def add(self, counted: QueryCounter) -> None:
        """Add the passes through one model."""
        self.forwards += counted.forwards
        self.backwards += counted.backwards


def new_tally(sample_ids: tuple[str, ...]) -> Tally:
    """Return the tally before any attack: all images count as right, at distance 0."""
    count = len(sample_ids)
    return Tally(np.ones(count, np.bool_), np.zeros(count, np.float32), sample_ids)


def extra_fields(result: CellResult, part: slice = slice(None)) -> dict[str, Any]:
    """Return copies of a result's extra quantities per image, for some of its images."""
    tally_fields = {each.name for each in fields(Tally)}
    names = (name for name, field in FIELDS.items() if field.per_image and name not in tally_fields)
    found = {name: getattr(result, name) for name in names}
    return {name: values[part].copy() for name, values in found.items() if values is not None}


def concatenate(parts: Sequence[Tally]) -> Tally:
    """Return one tally of the parts of a dataset, in their order."""
    reached = [part.reached for part in parts if part.reached is not None]
    scores = [part.scores for part in parts if part.scores is not None]
    return Tally(
        np.concatenate([part.correct for part in parts]),
        np.concatenate([part.distance for part in parts]),
        tuple(key for part in parts for key in part.sample_ids),
        tuple(sorted({flag for part in parts for flag in part.flags})),
        sum(part.forwards for part in parts),
        sum(part.backwards for part in parts),
        sum(part.seconds for part in parts),
        min(part.batch for part in parts),
        None if len(scores) < len(parts) else np.concatenate(scores),
        [text for part in parts for text in part.texts],
        None if len(reached) < len(parts) else np.concatenate(reached),
        {
            name: np.concatenate([part.extra[name] for part in parts])
            for name in parts[0].extra
            if all(name in part.extra for part in parts)
        },
        sum(part.load_seconds for part in parts),
    )
