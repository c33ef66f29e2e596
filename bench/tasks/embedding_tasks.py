"""The tasks of models that embed images and texts, looked up once by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor

from bench.core.types import EmbeddingClassifier, ImageTextModel
from bench.data.tensors import Images
from bench.suite.metrics import CLASSIFICATION, RETRIEVAL
from bench.suite.specs import TaskName
from bench.tasks.classification import Classification
from bench.tasks.retrieval import Retrieval

H = TypeVar("H", bound=EmbeddingClassifier)


class EmbeddingTask(Protocol[H]):
    """How a model that embeds images and texts does a task, and how that is scored.

    An attack is given the head and raises the loss of its logits for `images.labels`.
    """

    def vectors(self, model: ImageTextModel, images: Images, prompts: Sequence[str]) -> Tensor:
        """Return the vectors of the texts that images are held against, `[d,m]`.

        They depend on the model's text encoder, the names of the classes, the captions and the
        prompts (placeholder `{c}`) alone: models and metrics share them.
        """
        ...

    def head(self, tower: ImageTextModel, vectors: Tensor, images: Images) -> H:
        """Join an image tower with the vectors: images to logits `[b,k]`."""
        ...

    def outputs(self, head: H, points: Tensor) -> Tensor:
        """Return what the metrics are read off, of images `[b,3,h,w]` in [0,1], `[b,...]`."""
        ...

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return whether each sample is right, or its score in a graded metric, `[n]`.

        Args:
            outputs: Of all images; of some of them, if the metric allows an `early_stop`.
            labels: Theirs.
            images: The dataset.
            metric: Name of the metric.
        """
        ...

    def sample_ids(self, images: Images, metric: str) -> tuple[str, ...]:
        """Return what the values of all images are of: images, or their captions."""
        ...


EMBEDDING_TASKS: Mapping[TaskName, EmbeddingTask[Any]] = {
    CLASSIFICATION.name: Classification(),
    RETRIEVAL.name: Retrieval(),
}
