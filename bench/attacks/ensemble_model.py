"""An ensemble of models that is attacked as a single model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.language_types import require_decoy_margin, require_prompted_model
from bench.core.types import EmbeddingClassifier


class EnsembleModel:
    """A model whose logits are the mean of several models' (Dong et al. 2018, arXiv:1710.06081).

    Its embedding is the concatenation of the n models' embeddings, divided by sqrt(n). So its norm
    is 1, and the cosine of two embeddings is the mean of the models' cosines.
    """

    def __init__(self, models: Sequence[EmbeddingClassifier]) -> None:
        """Combine models that classify into the same classes."""
        self.models = models
        self.root = len(models) ** 0.5

    @property
    def width(self) -> int:
        """Dimension of the embedding: the sum of the models' dimensions."""
        return sum(model.width for model in self.models)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the mean of the logits `[b,k]` of images `[b,3,h,w]`."""
        return torch.stack([model(images) for model in self.models]).mean(dim=0)

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the mean log-likelihood of each row's text, `[b]`, in nats per token.

        Args:
            images: `[b,3,h,w]` in [0,1].
            rows: Index of each image in the dataset, `[b]`.
        """
        each = [require_prompted_model(model).likelihood(images, rows) for model in self.models]
        return torch.stack(each).mean(dim=0)

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return the mean of the models' value-feature losses, `[b]`.

        The loss is cos(values, decoy) - cos(values, true object); see `bench.core.language_types`.

        Args:
            images: `[b,3,h,w]` in [0,1].
            rows: Index of each image in the dataset, `[b]`.
            blocks: Number of last transformer blocks to use.
        """
        each = [
            require_decoy_margin(model).decoy_margin(images, rows, blocks) for model in self.models
        ]
        return torch.stack(each).mean(dim=0)

    def embed(self, images: Tensor) -> Tensor:
        """Return the ensemble's embeddings `[b,d]` of images `[b,3,h,w]`."""
        joint = torch.cat([model.embed(images) for model in self.models], dim=1)
        return joint.div(self.root)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return the mean of the logits `[b,k]` of the ensemble's embeddings `[b,d]`."""
        widths = [model.width for model in self.models]
        parts = (self.root * embeddings).split(widths, dim=1)
        each = [model.classify(part) for model, part in zip(self.models, parts, strict=True)]
        return torch.stack(each).mean(dim=0)
