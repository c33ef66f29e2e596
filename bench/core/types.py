"""The nouns that the rooms of the harness share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.result_fields import Declared, declared

if TYPE_CHECKING:  # planning and reporting must start without torch
    from torch import Tensor

Mode = Literal["success", "full"]
Norm = Literal["linf", "l2"]
Status = Literal["ok", "skip", "failed"]
REACHED = "reached="  # a flag: in what share of images an attack's target was said
Facts = Mapping[str, str | int]  # by name
Values = NDArray[np.bool_] | NDArray[np.float64]  # right or wrong, or scores


class Classifier(Protocol):
    """Images `[b,3,h,w]` in [0,1] to logits `[b,k]`; differentiable."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits."""
        ...


@runtime_checkable
class EmbeddingClassifier(Classifier, Protocol):
    """A classifier that shows the embedding which its logits are read off.

    Attributes:
        width: Numbers `d` of an embedding.
    """

    @property
    def width(self) -> int:
        """See above."""
        ...

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,d]`; differentiable."""
        ...

    def classify(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[b,d]` to logits `[b,k]`; differentiable."""
        ...


class ImageTextModel(Protocol):
    """A model that embeds images and texts in one space; what `kind: python` must return.

    Resizing to the model's own size and normalisation happen inside `encode_image`.
    """

    logit_scale: float

    def encode_image(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings `[b,d]`; differentiable."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Map n texts to embeddings `[n,d]`."""
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """What an attacker may change: a ball of radius `eps` in [0,1] pixels around each image."""

    eps: float
    norm: Norm = "linf"


class Attack(Protocol):
    """Proposes adversarial images; `evaluate` projects, re-checks and decides who won.

    In mode `success` an image that the model already gets wrong may be left as it is,
    and one that is broken may be left where it broke: such images count on this model
    alone. In mode `full` every image is attacked with all steps.
    """

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        *,
        mode: Mode,
        seeds: Sequence[int],
    ) -> Tensor:
        """Return proposals `[b,3,h,w]` for images `[b,3,h,w]` with labels `[b]`.

        `seeds` holds one random seed per image.
        """
        ...


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of one cell; numpy and scalars only, so that it crosses processes and JSON.

    The metadata of a field says how it is stored and sent; a field without metadata is not stored.

    Attributes:
        cell_id: Identity of the cell.
        status: `ok`, `skip` (with the reason) or `failed` (with the error).
        correct: Per image, whether it was classified correctly; empty unless `ok`. Where there
            are `scores`, whether the image has any score that an attack can take from it.
        sample_ids: The images, in the order of `correct`.
        distance: Per image, the norm of the perturbation in [0,1] pixels; zero when clean.
        seconds: Wall time, the craft included where this cell made it.
        queries: Images sent forward through any model. What a shared craft took counts for the
            first cell of its suite, whoever made it.
        provenance: Versions, device and settings that do not change the answer.
        reason: Why the cell was skipped or failed.
        flags: What a reader of the number must know, each one word: `targets=3`.
        again: Whether another try may do better: memory ran out, or a worker died. Not kept.
        scores: Per image, what the metric makes of it, where that is more than right or wrong.
        texts: What the model said of each image, where it answers in words. It may be anything.
        reached: Per image, whether an attack had the model say its target, where it has one; at
            whatever score, so that `texts` need not show it.
    """

    cell_id: str = field(metadata=declared("id"))
    status: Status = field(metadata=declared("status"))
    correct: NDArray[np.bool_] = field(metadata=declared("booleans"))
    sample_ids: tuple[str, ...] = field(metadata=declared("ids"))
    distance: NDArray[np.float32] = field(metadata=declared("floats", most=1e6, decimals=8))
    seconds: float = field(metadata=declared("seconds"))
    queries: int = field(metadata=declared("count"))
    provenance: Facts = field(metadata=declared("facts"))
    reason: str | None = field(default=None, metadata=declared("reason"))
    flags: tuple[str, ...] = field(default=(), metadata=declared("flags"))
    again: bool = False
    scores: NDArray[np.float32] | None = field(
        default=None, metadata=declared("floats", optional=True, most=10.0)
    )
    texts: tuple[str, ...] = field(default=(), metadata=declared("texts", optional=True))
    reached: NDArray[np.bool_] | None = field(
        default=None, metadata=declared("booleans", optional=True)
    )

    @property
    def finished(self) -> bool:
        """Whether the cell needs no computing: a failure is tried again."""
        return self.status != "failed"

    @property
    def values(self) -> Values:
        """Per image, what a number is the mean of: its score, or whether it is right."""
        return self.correct if self.scores is None else self.scores.astype(np.float64)


FIELDS: Mapping[str, Declared] = {
    each.name: each.metadata["declared"]
    for each in fields(CellResult)
    if "declared" in each.metadata
}


def unmeasured(
    cell_id: str,
    status: Status,
    reason: str,
    seconds: float,
    provenance: Facts,
    *,
    again: bool = False,
) -> CellResult:
    """Return the result of a cell that has no number, for a reason."""
    nothing, nowhere = np.zeros(0, np.bool_), np.zeros(0, np.float32)
    return CellResult(
        cell_id, status, nothing, (), nowhere, seconds, 0, provenance, reason, again=again
    )
