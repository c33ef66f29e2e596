"""Models as an attack meets them where images are asked about in words."""

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.language_types import AnsweringModel, require_value_features
from bench.core.types import ImageTextModel
from bench.models.zero_shot import text_vectors


class Prompted(nn.Module):
    """A model with what each row of a dataset is asked, and a text that it may answer.

    Its embedding is what the language model is given of an image: each visual token over its
    length, side by side, over the root of their number. So its length is 1, and a cosine is the
    mean of the tokens' cosines: what a large token says counts no more than what a small one says.

    Attributes:
        width: 0, as how many tokens an image has is the model's to say.
    """

    width = 0

    def __init__(self, model: AnsweringModel, asked: Mapping[int, tuple[str, str]]) -> None:
        """Join a model with the prompt and the text of each row that is attacked."""
        super().__init__()
        self.model = model
        self.asked = asked

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the log-likelihood of the texts of rows `[b]`, `[b]`."""
        prompts, texts = zip(*(self.asked[row] for row in rows.tolist()), strict=True)
        return self.model.log_likelihood(images, prompts, texts)

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,t*d]`."""
        tokens = F.normalize(self.model.visual_tokens(images), dim=-1)
        side: Tensor = tokens.flatten(1).div(tokens.shape[1] ** 0.5)
        return side

    def forward(self, images: Tensor) -> Tensor:
        """Map images to one number each, `[b,1]`; see `classify`."""
        return self.classify(self.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return a number `[b,1]` that is finite where an embedding is: there are no classes."""
        return embeddings.sum(dim=1, keepdim=True)


class Seeing(nn.Module):
    """A CLIP where images have no classes: its embeddings, and its value features beside texts.

    Attributes:
        width: Numbers of an embedding.
    """

    def __init__(self, model: ImageTextModel, named: Mapping[int, tuple[str, str]]) -> None:
        """Look through a model at images.

        Args:
            model: A CLIP.
            named: By row, what an image shows and what it is to be taken for, if anything.
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
        """Return a number `[b,1]` that is finite where an embedding is: there are no classes."""
        return embeddings.sum(dim=1, keepdim=True)

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return how far the patches that show an object lean to another, `[b]`.

        A patch shows the object if its value feature's cosine with the object's name, in the last
        block, is above the middle between the image's smallest and largest one. How far it leans
        is its cosine with the other's name less that with its own, the mean over these patches and
        over blocks; where nothing is said of another, it leans away from its own.
        """
        own = [self.named[row] for row in rows.tolist()]
        self._look_up(name for pair in own for name in pair if name)
        values = require_value_features(self.model).value_features(images, blocks)
        shown = self._cosines(values, [name for name, _ in own])
        last = shown[:, -1].detach()
        middle = (last.amin(dim=1) + last.amax(dim=1)) / 2
        object_there = (last > middle[:, None])[:, None].float()
        wanted = self._cosines(values, [other for _, other in own])
        leans = ((wanted - shown) * object_there).sum(dim=2) / object_there.sum(dim=2).clamp_min(1)
        return leans.mean(dim=1)

    def _look_up(self, names: Iterable[str]) -> None:
        if unknown := [name for name in dict.fromkeys(names) if name not in self._vectors]:
            self._vectors |= zip(unknown, text_vectors(self.model, unknown), strict=True)

    def _cosines(self, values: Tensor, names: Sequence[str]) -> Tensor:
        """Return the cosines `[b,n,t]` of value features with a name each; 0 with none."""
        nothing = values.new_zeros(values.shape[-1])
        texts = torch.stack([self._vectors.get(name, nothing) for name in names])
        return torch.einsum("bntd,bd->bnt", values, texts)
