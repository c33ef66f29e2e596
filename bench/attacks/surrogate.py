"""A model with its own outputs and the gradients of a surrogate model (BPDA)."""

import torch
from torch import Tensor

from bench.attacks.losses import embedding_classifier
from bench.core.errors import CellError
from bench.core.language_types import require_prompted_model
from bench.core.types import Classifier, EmbeddingClassifier


class BpdaModel:
    """A model with the backward pass of a surrogate (BPDA, Athalye et al. 2018, arXiv:1802.00420).

    Outputs, and so losses, equal the model's bit by bit. In the backward pass, the gradient of the
    loss with respect to the outputs is taken at the model's outputs, and then propagated through
    the surrogate. If the surrogate omits a transform of the input, the gradient treats the
    transform as the identity (straight-through).
    """

    def __init__(self, model: Classifier, surrogate: EmbeddingClassifier) -> None:
        """Combine a model and the surrogate that computes its gradients."""
        self.model = model
        self.surrogate = surrogate

    def __call__(self, images: Tensor) -> Tensor:
        """Return the model's logits `[b,k]` of images `[b,3,h,w]`."""
        if not images.requires_grad:
            return self.model(images)
        with torch.no_grad():
            logits = self.model(images)
        return _replace_gradient(logits, self.surrogate(images))

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the model's log-likelihood of each row's text, `[b]`, in nats per token.

        Args:
            images: `[b,3,h,w]` in [0,1].
            rows: Index of each image in the dataset, `[b]`.
        """
        model, surrogate = (
            require_prompted_model(self.model),
            require_prompted_model(self.surrogate),
        )
        if not images.requires_grad:
            return model.likelihood(images, rows)
        with torch.no_grad():
            likelihood = model.likelihood(images, rows)
        return _replace_gradient(likelihood, surrogate.likelihood(images, rows))

    @property
    def width(self) -> int:
        """Dimension of the embeddings."""
        return embedding_classifier(self.model).width

    def embed(self, images: Tensor) -> Tensor:
        """Return the model's embeddings `[b,d]` of images `[b,3,h,w]`."""
        if not images.requires_grad:
            return embedding_classifier(self.model).embed(images)
        with torch.no_grad():
            embeddings = embedding_classifier(self.model).embed(images)
        return _replace_gradient(embeddings, self.surrogate.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return the model's logits `[b,k]` of embeddings `[b,d]`."""
        return embedding_classifier(self.model).classify(embeddings)


def _replace_gradient(values: Tensor, source: Tensor) -> Tensor:
    if values.shape != source.shape:
        raise CellError(
            f"the surrogate's embeddings have {source.shape[1]} dimensions, the model's "
            f"{values.shape[1]}; use a surrogate with the same dimension, or a loss of logits"
        )
    return values + (source - source.detach())  # the difference is exactly zero
