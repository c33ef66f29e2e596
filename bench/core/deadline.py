"""The time limit of a cell, checked before each pass through a model and each step of loading."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.core.errors import TimeUp

if TYPE_CHECKING:
    from torch import Tensor

    from bench.core.types import ImageTextModel

Check = Callable[[], None]  # raises TimeUp if the time limit has passed


class Deadline:
    """Stops a cell that takes too long; its finished parts stay stored for the next run."""

    def __init__(self, limit: float | None = None) -> None:
        """Start the clock now; see `restart`."""
        self.restart(limit)

    def restart(self, limit: float | None) -> None:
        """Start the clock again.

        Args:
            limit: Seconds that the cell may take; None means no limit.
        """
        self.limit = limit
        self.started = time.monotonic()

    def check(self) -> None:
        """Raise an error if the time limit has passed.

        Raises:
            TimeUp: The time limit has passed.
        """
        if self.limit is not None and time.monotonic() - self.started > self.limit:
            raise TimeUp(
                f"took more than the {self.limit:g} seconds of --limit; its finished parts are "
                "stored, and a run with a longer limit continues from there"
            )


def unlimited() -> None:
    """Check nothing: a `Check` without a time limit."""


class LimitedModel:
    """A model that checks the time limit before each pass.

    Attributes:
        logit_scale: Factor on the cosine of image and text embeddings.
    """

    def __init__(self, model: ImageTextModel, check: Check) -> None:
        """Wrap a model; `check` checks the time limit."""
        self.logit_scale = model.logit_scale
        self._model = model
        self._check = check

    def encode_image(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings `[b,d]`; differentiable."""
        self._check()
        return self._model.encode_image(images)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Map n texts to embeddings `[n,d]`."""
        self._check()
        return self._model.encode_text(texts)
