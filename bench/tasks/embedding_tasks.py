"""The tasks of models that embed images and texts, by name."""

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
    """A task of models that embed images and texts, with its scores.

    An attack increases the loss of the head's logits for `images.labels`.
    """

    def vectors(self, model: ImageTextModel, images: Images, prompts: Sequence[str]) -> Tensor:
        """Return the vectors of the texts that images are compared with, `[d,m]`.

        They depend only on the text encoder, the class names, the captions and the prompt templates
        (placeholder `{c}`), so models and metrics share them.
        """
        ...

    def head(self, tower: ImageTextModel, vectors: Tensor, images: Images) -> H:
        """Return a module from images to logits `[b,k]`, of an image tower and text vectors."""
        ...

    def outputs(self, head: H, points: Tensor) -> Tensor:
        """Return the outputs for images `[b,3,h,w]` in [0,1] from which metrics follow."""
        ...

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return whether each sample is right, or its score in a graded metric, `[n]`.

        Args:
            outputs: Outputs of all images; of some images if the metric allows an `early_stop`.
            labels: Labels of these images.
            images: The dataset.
            metric: Name of the metric.
        """
        ...

    def sample_ids(self, images: Images, metric: str) -> tuple[str, ...]:
        """Return the ids of the samples that have a value: images, or captions."""
        ...


EMBEDDING_TASKS: Mapping[TaskName, EmbeddingTask[Any]] = {
    CLASSIFICATION.name: Classification(),
    RETRIEVAL.name: Retrieval(),
}
