"""Models as an attack meets them where images are asked about in words."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from bench.language import AnsweringModel
from bench.text import text_vectors
from bench.types import ImageTextModel


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
        """Return the log-likelihood of the texts of rows `[b]`, `[b]`; see `bench.language`."""
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
    """A CLIP where images have no classes: its embeddings alone.

    Attributes:
        width: Numbers of an embedding.
    """

    def __init__(self, model: ImageTextModel) -> None:
        """Look through a model."""
        super().__init__()
        self.model = model
        self.width = text_vectors(model, ["an image"]).shape[1]

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,d]`."""
        return F.normalize(self.model.encode_image(images), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to one number each, `[b,1]`; see `classify`."""
        return self.classify(self.embed(images))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Return a number `[b,1]` that is finite where an embedding is: there are no classes."""
        return embeddings.sum(dim=1, keepdim=True)
