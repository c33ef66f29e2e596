"""Types that the rooms of the harness share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.result_fields import Declared, declared

if TYPE_CHECKING:  # planning and reporting must start without torch
    from torch import Tensor

Mode = Literal["success", "full"]
Norm = Literal["linf", "l2"]
Status = Literal["ok", "skip", "failed"]
CLEAN, WORST = "clean", "worst"  # names in tables: without attack, and under all attacks
REACHED = "reached="  # flag: share of images on which the model said the attack's target
# flag: the images were drawn until the number was precise enough, so its interval must hold then
ANYTIME = "anytime"
# fact: a family of models that no test knows, so that each model was verified when it was loaded
VERIFIED_FAMILY = "verified_family"
Facts = Mapping[str, str | int]  # by name
Values = NDArray[np.bool_] | NDArray[np.float64]  # correct or not, or scores


class Classifier(Protocol):
    """Maps images `[b,3,h,w]` in [0,1] to logits `[b,k]`; differentiable."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits `[b,k]`."""
        ...


@runtime_checkable
class EmbeddingClassifier(Classifier, Protocol):
    """A classifier that also returns the image embedding from which it computes logits.

    Attributes:
        width: Dimension `d` of an embedding.
    """

    @property
    def width(self) -> int:
        """Dimension `d` of an embedding."""
        ...

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,d]`; differentiable."""
        ...

    def classify(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[b,d]` to logits `[b,k]`; differentiable."""
        ...


class ImageTextModel(Protocol):
    """A model that embeds images and texts in one space; `kind: python` must return it.

    `encode_image` resizes images to the model's input size and normalises them.
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
    """The perturbation budget: a ball around each image.

    Attributes:
        eps: Radius in [0,1] pixels.
        norm: Norm of the ball.
    """

    eps: float
    norm: Norm = "linf"


class Attack(Protocol):
    """Proposes adversarial images; `evaluate` projects them, scores them and decides.

    In mode `success` the attack may skip an image that the model already misclassifies, and may
    stop as soon as an image is misclassified. These images are valid for this model only. In mode
    `full` every image is attacked with all steps.
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
        """Return proposed adversarial images `[b,3,h,w]`.

        Args:
            model: The model to attack.
            images: Clean images `[b,3,h,w]` in [0,1].
            labels: True labels `[b]`.
            budget: The perturbation budget.
            mode: Whether the attack may stop early.
            seeds: One random seed per image.
        """
        ...


class Details(NamedTuple):
    """What a cell's result says besides its numbers per image; see `CellResult`."""

    seconds: float
    queries: int
    provenance: Facts
    reason: str | None
    flags: tuple[str, ...]
    load_seconds: float


class Result(Protocol):
    """The result of a cell: in memory (`CellResult`), or on disk and read when it is asked for."""

    @property
    def cell_id(self) -> str:
        """Id of the cell."""
        ...

    @property
    def status(self) -> Status:
        """`ok`, `skip` or `failed`."""
        ...

    @property
    def size(self) -> int:
        """Number of images."""
        ...

    @property
    def right(self) -> int:
        """Number of images whose prediction is correct."""
        ...

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Per image, whether the prediction is correct."""
        ...

    @property
    def bits(self) -> bytes:
        """Whether each prediction is correct, eight images in a byte, the first image highest."""
        ...

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids of the images."""
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """Warnings for readers of the number."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the cell is done; a failed cell is computed again."""
        ...

    def details(self) -> Details | None:
        """Return what it says besides its numbers per image; None if that is damaged."""
        ...

    def whole(self) -> CellResult | None:
        """Return the whole result; None if it is damaged."""
        ...


@dataclass(frozen=True, slots=True)
class CellResult:
    """The result of a cell; only numpy arrays and scalars, for other processes and for JSON.

    A field's metadata declares how it is stored and sent; a field without metadata is not stored.

    Attributes:
        cell_id: Id of the cell.
        status: `ok`, `skip` (with the reason) or `failed` (with the error).
        correct: Per image, whether the prediction is correct; empty unless `ok`. With `scores`,
            whether the score is above zero, so that an attack can lower it.
        sample_ids: Ids of the images, in the order of `correct`.
        distance: Per image, the norm of the perturbation in [0,1] pixels; zero if clean.
        seconds: Wall time without loading, including the craft if this cell made it.
        queries: Number of images sent forward through any model. The queries of a shared craft
            count for the first cell of the suite that uses it.
        provenance: Versions, device and settings that do not change the result.
        reason: Why the cell was skipped or failed.
        flags: Warnings for readers of the number, a word each: `targets=3`.
        again: Whether a retry may succeed: memory ran out, or a worker died. Not stored.
        scores: Per image, the metric's score; None if the metric is only correct or wrong.
        texts: Per image, the answer of a model that answers in words; it may hold any characters.
        load_seconds: Wall time of loading what cells share: models, images, class vectors, and the
            trial of batch sizes. The first cell that needs them pays.
        reached: Per image, whether a targeted attack ever made the model say its target, which
            `texts` need not show; None without a target.
    """

    cell_id: str = field(metadata=declared("id"))
    status: Status = field(metadata=declared("status"))
    correct: NDArray[np.bool_] = field(metadata=declared("booleans"))
    sample_ids: tuple[str, ...] = field(metadata=declared("ids"))
    distance: NDArray[np.float32] = field(metadata=declared("floats", maximum=1e6, decimals=8))
    seconds: float = field(metadata=declared("seconds"))
    queries: int = field(metadata=declared("count"))
    provenance: Facts = field(metadata=declared("facts"))
    reason: str | None = field(default=None, metadata=declared("reason"))
    flags: tuple[str, ...] = field(default=(), metadata=declared("flags"))
    again: bool = False
    scores: NDArray[np.float32] | None = field(
        default=None, metadata=declared("floats", optional=True, maximum=10.0)
    )
    texts: tuple[str, ...] = field(default=(), metadata=declared("texts", optional=True))
    load_seconds: float = field(default=0.0, metadata=declared("seconds", optional=True))
    reached: NDArray[np.bool_] | None = field(
        default=None, metadata=declared("booleans", optional=True)
    )

    @property
    def finished(self) -> bool:
        """Whether the cell is done; a failed cell is computed again."""
        return self.status != "failed"

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.correct)

    @property
    def right(self) -> int:
        """Number of images whose prediction is correct."""
        return int(np.count_nonzero(self.correct))

    @property
    def bits(self) -> bytes:
        """Whether each prediction is correct, eight images in a byte, the first image highest."""
        return np.packbits(self.correct).tobytes()

    def details(self) -> Details:
        """Return what it says besides its numbers per image."""
        return Details(
            self.seconds, self.queries, self.provenance, self.reason, self.flags, self.load_seconds
        )

    def whole(self) -> CellResult:
        """Return this result."""
        return self

    @property
    def values(self) -> Values:
        """Per image, its score, or whether it is correct; the cell's number is their mean."""
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
    load_seconds: float = 0.0,
) -> CellResult:
    """Return the result of a skipped or failed cell, which has no images."""
    correct, distance = np.zeros(0, np.bool_), np.zeros(0, np.float32)
    return CellResult(
        cell_id, status, correct, (), distance, seconds, 0, provenance, reason, again=again,
        load_seconds=load_seconds,
    )  # fmt: skip
