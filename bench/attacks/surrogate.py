"""The outputs of one model with the gradients of another."""

import torch
from torch import Tensor

from bench.attacks.losses import embedding
from bench.core.errors import CellError
from bench.core.language_types import require_prompted_model
from bench.core.types import Classifier, EmbeddingClassifier


class Straight:
    """A model whose backward pass is a surrogate's (BPDA, Athalye et al. 2018, arXiv:1802.00420).

    Outputs, and so losses, are the model's to the last bit. Where a gradient is asked for, that of
    the loss is taken at the model's outputs and goes on through the surrogate, as if the model's
    derivative were the surrogate's. With a surrogate that lacks a transform of the input, the
    transform counts as the identity: straight-through.
    """

    def __init__(self, model: Classifier, surrogate: EmbeddingClassifier) -> None:
        """Join a model and the one that its gradients come from."""
        self.model = model
        self.surrogate = surrogate

    def __call__(self, images: Tensor) -> Tensor:
        """Return the model's logits `[b,k]` of images `[b,3,h,w]`."""
        if not images.requires_grad:
            return self.model(images)
        with torch.no_grad():
            logits = self.model(images)
        return _carried(logits, self.surrogate(images))

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the model's log-likelihoods `[b]` of the texts of rows `[b]`."""
        said, through = require_prompted_model(self.model), require_prompted_model(self.surrogate)
        if not images.requires_grad:
            return said.likelihood(images, rows)
        with torch.no_grad():
            likelihood = said.likelihood(images, rows)
        return _carried(likelihood, through.likelihood(images, rows))

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return embedding(self.model).width

    def embed(self, images: Tensor) -> Tensor:
        """Return the model's embeddings `[b,d]` of images `[b,3,h,w]`."""
        if not images.requires_grad:
            return embedding(self.model).embed(images)
        with torch.no_grad():
            embeddings = embedding(self.model).embed(images)
        return _carried(embeddings, self.surrogate.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return the model's logits `[b,k]` of embeddings `[b,d]`."""
        return embedding(self.model).classify(embeddings)


def _carried(values: Tensor, carrier: Tensor) -> Tensor:
    if values.shape != carrier.shape:
        raise CellError(
            f"the surrogate's embeddings have {carrier.shape[1]} numbers, the model's "
            f"{values.shape[1]}; only a loss of logits can go through it"
        )
    return values + (carrier - carrier.detach())  # the difference is zero, exactly
