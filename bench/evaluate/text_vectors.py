"""The text vectors of datasets, which models, metrics and defences share."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from torch import Tensor

from bench.core.deadline import LimitedModel
from bench.core.errors import CellError
from bench.core.types import EmbeddingClassifier, ImageTextModel
from bench.data.tensors import Images
from bench.evaluate.loading import Loading
from bench.evaluate.recent import Recent
from bench.models import ClipModel, DefendedModel
from bench.models.defended import undefended
from bench.suite.metrics import CLASSIFICATION
from bench.suite.specs import Protocol, TaskName
from bench.tasks.embedding_tasks import EMBEDDING_TASKS

_SHARE = 0.1  # share of the memory that text vectors may fill together


@dataclass
class TextVectors:
    """Computes the vectors of a dataset's texts at their first use, and keeps the latest.

    Attributes:
        protocol: States the prompt templates.
        loading: Measures the time of loading, and has the time limit.
    """

    protocol: Protocol
    loading: Loading
    _known: Recent[Hashable, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        """Know no vectors."""
        self._known = Recent(self.loading.share(_SHARE, self.loading.device), _size)

    def of(self, model: ImageTextModel, images: Images, task: TaskName) -> Tensor:
        """Return the vectors `[d,m]` that a model's image embeddings are compared with."""
        built = undefended(model)
        # adapted models differ only in their image tower, so they share the text vectors
        text = built.encode if isinstance(built, ClipModel) else built
        prompts = self.protocol.templates_of(images.templates)
        key = (text, task, images.classes, images.captions, prompts)
        if (known := self._known.get(key)) is not None:
            return known
        limited = LimitedModel(built, self.loading.check)
        with self.loading.timed():
            vectors: Tensor = EMBEDDING_TASKS[task].vectors(limited, images, prompts)
        self._known.put(key, vectors)
        return vectors

    def head(
        self, tower: ImageTextModel, model: ImageTextModel, images: Images, task: TaskName
    ) -> EmbeddingClassifier:
        """Return the classifier of a model's image tower (also compiled or in bf16)."""
        vectors = self.of(model, images, task)
        classifier: EmbeddingClassifier = EMBEDDING_TASKS[task].head(tower, vectors, images)
        return classifier

    def told_to(self, model: ImageTextModel, images: Images, task: TaskName) -> ImageTextModel:
        """Return a model, which is told the classes of a dataset if its defence needs them.

        Raises:
            CellError: The defence needs classes, and the dataset has none.
        """
        if not isinstance(model, DefendedModel) or not model.needs_classes:
            return model
        if task != CLASSIFICATION.name:
            raise CellError("the model's defence needs classes; this dataset has captions")
        return model.with_classes(self.of(model, images, task))

    def clear(self) -> None:
        """Forget all vectors."""
        self._known.clear()


def _size(vectors: Tensor) -> int:
    return vectors.nbytes
