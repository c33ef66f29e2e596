"""Classification: is the class of an image the one whose prompts it is most similar to?"""

from collections.abc import Callable, Sequence

from torch import Tensor

from bench.core.types import ImageTextModel
from bench.data.tensors import Images
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.metrics import ACCURACY


def top_1(logits: Tensor, labels: Tensor) -> Tensor:
    """Return per image whether its class has the highest logit, `[n]`."""
    return logits.argmax(dim=1) == labels


# by metric, what it makes of logits `[n,k]` and labels `[n]`
_VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    ACCURACY: top_1,
}


class Classification:
    """How a model classifies; a `bench.tasks.embedding_tasks.EmbeddingTask`."""

    def vectors(self, model: ImageTextModel, images: Images, prompts: Sequence[str]) -> Tensor:
        """Return a vector for each class, `[d,k]`."""
        return zero_shot_head(model, images.classes, prompts)

    def head(self, tower: ImageTextModel, vectors: Tensor, images: Images) -> ZeroShotClassifier:
        """Return a classifier."""
        return ZeroShotClassifier(tower, vectors)

    def outputs(self, head: ZeroShotClassifier, points: Tensor) -> Tensor:
        """Return the logits of images `[b,3,h,w]`, `[b,k]`."""
        logits: Tensor = head(points)
        return logits

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return per image what the metric makes of its logits, `[n]`."""
        return _VALUES[metric](outputs, labels)

    def sample_ids(self, images: Images, metric: str) -> tuple[str, ...]:
        """Return the ids of the images."""
        return images.sample_ids
