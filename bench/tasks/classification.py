"""Zero-shot classification: the prediction is the class whose prompts are most similar."""

from collections.abc import Callable, Sequence

from torch import Tensor

from bench.core.types import ImageTextModel
from bench.data.tensors import Images
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.metrics import ACCURACY


def top_1(logits: Tensor, labels: Tensor) -> Tensor:
    """Return whether the label has the highest logit, per image, `[n]`."""
    return logits.argmax(dim=1) == labels


# for each metric, a function of logits `[n,k]` and labels `[n]`
_VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    ACCURACY: top_1,
}


class Classification:
    """Zero-shot classification as a `bench.tasks.embedding_tasks.EmbeddingTask`."""

    def vectors(self, model: ImageTextModel, images: Images, prompts: Sequence[str]) -> Tensor:
        """Return the text vector of each class, `[d,k]`."""
        return zero_shot_head(model, images.classes, prompts)

    def head(self, tower: ImageTextModel, vectors: Tensor, images: Images) -> ZeroShotClassifier:
        """Return the classifier of an image tower and class vectors."""
        return ZeroShotClassifier(tower, vectors)

    def outputs(self, head: ZeroShotClassifier, points: Tensor) -> Tensor:
        """Return the logits of images `[b,3,h,w]`, `[b,k]`."""
        logits: Tensor = head(points)
        return logits

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return the value of the metric for each image, `[n]`."""
        return _VALUES[metric](outputs, labels)

    def sample_ids(self, images: Images, metric: str) -> tuple[str, ...]:
        """Return the ids of the images."""
        return images.sample_ids
