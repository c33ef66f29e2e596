"""A wrapper that counts the forward and backward passes of any attack on a model."""

from torch import Tensor, nn

from bench.core.deadline import Deadline
from bench.core.language_types import require_decoy_margin, require_prompted_model
from bench.core.types import EmbeddingClassifier


class QueryCounter(nn.Module):
    """A classifier that counts the images in its passes, and stops at a deadline.

    Attributes:
        forwards: Number of images in forward passes.
        backwards: Number of images in backward passes.
    """

    def __init__(self, classifier: EmbeddingClassifier, deadline: Deadline) -> None:
        """Wrap a classifier."""
        super().__init__()
        self.classifier = classifier
        self.deadline = deadline
        self.forwards = 0
        self.backwards = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `[b,k]` of images `[b,3,h,w]`.

        Raises:
            CellError: The deadline has passed.
        """
        self.deadline.check()
        return self._counted(self.classifier(images))

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the log-likelihood of each row's text, `[b]`; see `bench.core.language_types`.

        Raises:
            CellError: The deadline has passed, or the model does not answer in words.
        """
        self.deadline.check()
        return self._counted(require_prompted_model(self.classifier).likelihood(images, rows))

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return the value-feature losses, `[b]`; see `bench.core.language_types`.

        Raises:
            CellError: The deadline has passed, or the model is not a CLIP.
        """
        self.deadline.check()
        return self._counted(
            require_decoy_margin(self.classifier).decoy_margin(images, rows, blocks)
        )

    @property
    def width(self) -> int:
        """Dimension of the embeddings."""
        return self.classifier.width

    def embed(self, images: Tensor) -> Tensor:
        """Return the embeddings `[b,d]` of images `[b,3,h,w]`.

        Raises:
            CellError: The deadline has passed.
        """
        self.deadline.check()
        return self._counted(self.classifier.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return the logits `[b,k]` of embeddings `[b,d]`; this is not counted as a pass."""
        return self.classifier.classify(embeddings)

    def _counted(self, found: Tensor) -> Tensor:
        self.forwards += len(found)
        if found.requires_grad:
            found.register_hook(self._count_backward)
        return found

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
