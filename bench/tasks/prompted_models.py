"""Models that are attacked on datasets whose images have questions instead of classes."""

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.language_types import AnsweringModel, require_value_features
from bench.core.types import ImageTextModel
from bench.models.zero_shot import text_vectors


class PromptedModel(nn.Module):
    """An answering model with the prompt and the text of each attacked row.

    The embedding of an image is the concatenation of its t visual tokens, each divided by its norm,
    divided by sqrt(t). So its norm is 1, the cosine of two embeddings is the mean cosine of their
    tokens, and tokens with a large norm have no more weight than others.

    Attributes:
        width: 0, since the number of tokens depends on the model and the image.
    """

    width = 0

    def __init__(self, model: AnsweringModel, asked: Mapping[int, tuple[str, str]]) -> None:
        """Wrap a model.

        Args:
            model: The answering model.
            asked: By row, the prompt and the text that the attack is about.
        """
        super().__init__()
        self.model = model
        self.asked = asked

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the log-likelihoods of the texts of rows `[b]`, `[b]`."""
        prompts, texts = zip(*(self.asked[row] for row in rows.tolist()), strict=True)
        return self.model.log_likelihood(images, prompts, texts)

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,t*d]`."""
        tokens = F.normalize(self.model.visual_tokens(images), dim=-1)
        scaled: Tensor = tokens.flatten(1).div(tokens.shape[1] ** 0.5)
        return scaled

    def forward(self, images: Tensor) -> Tensor:
        """Map images to one number each, `[b,1]`; see `classify`."""
        return self.classify(self.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return a number `[b,1]` that is finite if the embedding is; there are no classes."""
        return embeddings.sum(dim=1, keepdim=True)


class ValueFeatureModel(nn.Module):
    """A CLIP model without classes; attacks use its embeddings or its value features.

    Attributes:
        width: Number of dimensions of an embedding.
    """

    def __init__(self, model: ImageTextModel, named: Mapping[int, tuple[str, str]]) -> None:
        """Wrap a model.

        Args:
            model: A CLIP model.
            named: By row, the name of the true object and of the decoy; the decoy may be empty.
        """
        super().__init__()
        self.model = model
        self.width = text_vectors(model, ["an image"]).shape[1]
        self.named = named
        self._vectors: dict[str, Tensor] = {}

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,d]`."""
        return F.normalize(self.model.encode_image(images), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to one number each, `[b,1]`; see `classify`."""
        return self.classify(self.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return a number `[b,1]` that is finite if the embedding is; there are no classes."""
        return embeddings.sum(dim=1, keepdim=True)

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return how much the patches of the true object resemble the decoy instead, `[b]`.

        For each block and each patch of the object, this is cos(value, decoy) - cos(value, true
        object), averaged over patches and blocks; cos(value, decoy) is 0 without a decoy. A patch
        belongs to the object if its cosine with the object's name in the last block is above the
        midpoint between the image's smallest and largest cosine.

        Args:
            images: Images `[b,3,h,w]` in [0,1].
            rows: Rows of the dataset, `[b]`.
            blocks: Number of blocks that count: the last ones of the tower.
        """
        pairs = [self.named[row] for row in rows.tolist()]
        self._look_up(name for pair in pairs for name in pair if name)
        values = require_value_features(self.model).value_features(images, blocks)
        true_cosines = self._cosines(values, [name for name, _ in pairs])
        last = true_cosines[:, -1].detach()
        middle = (last.amin(dim=1) + last.amax(dim=1)) / 2
        on_object = (last > middle[:, None])[:, None].float()
        decoy_cosines = self._cosines(values, [decoy for _, decoy in pairs])
        gaps = (decoy_cosines - true_cosines) * on_object
        patches = on_object.sum(dim=2).clamp_min(1)
        return (gaps.sum(dim=2) / patches).mean(dim=1)

    def _look_up(self, names: Iterable[str]) -> None:
        if unknown := [name for name in dict.fromkeys(names) if name not in self._vectors]:
            self._vectors |= zip(unknown, text_vectors(self.model, unknown), strict=True)

    def _cosines(self, values: Tensor, names: Sequence[str]) -> Tensor:
        """Return the cosines `[b,n,t]` of value features with one name per image; 0 if empty."""
        zeros = values.new_zeros(values.shape[-1])
        texts = torch.stack([self._vectors.get(name, zeros) for name in names])
        return torch.einsum("bntd,bd->bnt", values, texts)
