"""What an attack costs, counted where it calls the model: no attack is asked."""

from torch import Tensor, nn

from bench.core.deadline import Deadline
from bench.core.language_types import require_decoy_margin, require_prompted_model
from bench.core.types import EmbeddingClassifier


class Counted(nn.Module):
    """A classifier that counts the images sent through it, while there is time.

    Attributes:
        forwards: Images sent forward.
        backwards: Images for which a gradient was computed.
    """

    def __init__(self, classifier: EmbeddingClassifier, deadline: Deadline) -> None:
        """Wrap a classifier."""
        super().__init__()
        self.classifier = classifier
        self.deadline = deadline
        self.forwards = 0
        self.backwards = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            CellError: Time is up.
        """
        self.deadline.check()
        return self._counted(self.classifier(images))

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the log-likelihoods of the texts of rows, of a model that answers in words.

        Raises:
            CellError: Time is up, or it does not answer in words.
        """
        self.deadline.check()
        return self._counted(require_prompted_model(self.classifier).likelihood(images, rows))

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return how far images lean, of a CLIP; see `bench.core.language_types.HasDecoyMargin`.

        Raises:
            CellError: Time is up, or it is no CLIP.
        """
        self.deadline.check()
        return self._counted(
            require_decoy_margin(self.classifier).decoy_margin(images, rows, blocks)
        )

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return self.classifier.width

    def embed(self, images: Tensor) -> Tensor:
        """Return the embeddings.

        Raises:
            CellError: Time is up.
        """
        self.deadline.check()
        return self._counted(self.classifier.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return the logits of embeddings; no image is sent through for that."""
        return self.classifier.classify(embeddings)

    def _counted(self, found: Tensor) -> Tensor:
        self.forwards += len(found)
        if found.requires_grad:
            found.register_hook(self._note)
        return found

    def _note(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
