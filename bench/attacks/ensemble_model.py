"""Several models attacked as one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.language_types import require_decoy_margin, require_prompted_model
from bench.core.types import EmbeddingClassifier


class Mean:
    """A model whose logits are the mean of several models' (Dong et al. 2018, arXiv:1710.06081).

    Its embedding is theirs side by side, over the root of their number: so its length is 1, and a
    cosine is the mean of theirs.
    """

    def __init__(self, models: Sequence[EmbeddingClassifier]) -> None:
        """Join models of the same classes."""
        self.models = models
        self.root = len(models) ** 0.5

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return sum(model.width for model in self.models)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the mean of the logits `[b,k]` of images `[b,3,h,w]`."""
        return torch.stack([model(images) for model in self.models]).mean(dim=0)

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the mean of the log-likelihoods `[b]` of the texts of rows `[b]`."""
        each = [require_prompted_model(model).likelihood(images, rows) for model in self.models]
        return torch.stack(each).mean(dim=0)

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return the mean of how far images lean `[b]` to each model."""
        each = [
            require_decoy_margin(model).decoy_margin(images, rows, blocks) for model in self.models
        ]
        return torch.stack(each).mean(dim=0)

    def embed(self, images: Tensor) -> Tensor:
        """Return the joint embeddings `[b,d]` of images `[b,3,h,w]`."""
        joint = torch.cat([model.embed(images) for model in self.models], dim=1)
        return joint.div(self.root)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return the mean of the logits `[b,k]` of joint embeddings `[b,d]`."""
        widths = [model.width for model in self.models]
        parts = (self.root * embeddings).split(widths, dim=1)
        each = [model.classify(part) for model, part in zip(self.models, parts, strict=True)]
        return torch.stack(each).mean(dim=0)
