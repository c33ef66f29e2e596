"""Zero-shot classification: class vectors from prompts, and logits from images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.types import ImageTextModel

_TEXTS_AT_ONCE = 1024


def zero_shot_head(
    model: ImageTextModel, classes: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """Return one vector per class, `[d,k]`: the normalised mean of its prompts' embeddings.

    Each prompt's embedding is normalised before the mean, as in CLIP and CLIP_benchmark.

    Args:
        model: The model that embeds the prompts.
        classes: The k class names.
        templates: Prompt templates; `{c}` stands for the class name.
    """
    prompts = [text.replace("{c}", name) for name in classes for text in templates]
    by_class = text_vectors(model, prompts).unflatten(0, (len(classes), len(templates)))
    return F.normalize(by_class.mean(dim=1), dim=1).T.contiguous()


def text_vectors(model: ImageTextModel, texts: Sequence[str]) -> Tensor:
    """Return the normalised embeddings of n texts, `[n,d]`."""
    with torch.no_grad():
        parts = [
            F.normalize(model.encode_text(texts[start : start + _TEXTS_AT_ONCE]), dim=1)
            for start in range(0, len(texts), _TEXTS_AT_ONCE)
        ]
    return torch.cat(parts)


class ZeroShotClassifier(nn.Module):
    """A zero-shot classifier: cosine of image embedding and class vector, times the logit scale."""

    def __init__(self, model: ImageTextModel, head: Tensor) -> None:
        """Combine a model with the class vectors `[d,k]` of a dataset."""
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits `[b,k]`."""
        return self.classify(self.embed(images))

    @property
    def width(self) -> int:
        """Dimension of the embeddings."""
        return len(self.head)

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of norm 1, `[b,d]`."""
        return F.normalize(self.model.encode_image(images), dim=1)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[b,d]` to logits `[b,k]`."""
        return self.model.logit_scale * embeddings @ self.head
