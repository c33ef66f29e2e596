"""Outcomes of a cell per image, and what they cost; filled in as the cell is measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks.query_counter import QueryCounter
from bench.core.types import FIELDS, CellResult


@dataclass(slots=True)
class Tally:
    """Filled in as a cell is measured.

    Attributes:
        correct: Per image, or per caption in text-to-image retrieval, whether it was right.
        distance: Per image, the norm of the perturbation.
        sample_ids: Ids of the images or captions of `correct`.
        flags: What a reader of the number must know.
        forwards: Images sent forward.
        backwards: Images for which a gradient was computed.
        seconds: What earlier runs and other workers spent on it.
        batch: The fewest images that were attacked at once; 0 where nothing was.
        scores: Per image, its score; None where the metric knows right and wrong only.
        texts: The target's answer to each image; empty where it does not answer in words.
        reached: Per image, whether the target has ever said the text that the attack aims at; None
            where the attack aims at no text.
        further: Per image, other quantities by the name of their field in `CellResult`.
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
    further: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Set a further quantity of some images; that of images never noted is 0."""
        if name not in self.further:
            self.further[name] = np.zeros(len(self.sample_ids), values.dtype)
        self.further[name][rows] = values

    def add(self, counted: QueryCounter) -> None:
        """Add the passes through one model."""
        self.forwards += counted.forwards
        self.backwards += counted.backwards


def untouched(sample_ids: tuple[str, ...]) -> Tally:
    """Return the tally of images before any attack: all right, at distance 0."""
    count = len(sample_ids)
    return Tally(np.ones(count, np.bool_), np.zeros(count, np.float32), sample_ids)


def further_of(result: CellResult, part: slice = slice(None)) -> dict[str, Any]:
    """Return copies of the further quantities that a result has, for some of its images."""
    own = {each.name for each in fields(Tally)}
    names = (name for name, field in FIELDS.items() if field.per_image and name not in own)
    found = {name: getattr(result, name) for name in names}
    return {name: values[part].copy() for name, values in found.items() if values is not None}


def joined(parts: Sequence[Tally]) -> Tally:
    """Return the tally of the parts of one dataset, in their order."""
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
            name: np.concatenate([part.further[name] for part in parts])
            for name in parts[0].further
            if all(name in part.further for part in parts)
        },
    )
