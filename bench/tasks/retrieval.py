"""Retrieval: does an image find its captions, and a caption its image?"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.types import ImageTextModel
from bench.data.tensors import Images
from bench.models.zero_shot import text_vectors
from bench.suite.metrics import ID_SEPARATOR, RECALL_DEPTHS, metric_of

_Recall = Callable[[Tensor, Tensor], Tensor]


class RetrievalClassifier(nn.Module):
    """An image's similarity to each image's captions, as logits over the images.

    The logit for image j is the largest cosine with any caption of j, times the model's logit
    scale. So the arg max is an image's own index exactly where its nearest caption is one of its
    own, which is recall@1, and cross-entropy sets the similarity to its own captions against that
    to all others: an attack on a classifier is an attack on retrieval.
    """

    def __init__(self, model: ImageTextModel, captions: Tensor, owners: Tensor) -> None:
        """Join a model with the captions' normalised vectors `[d,m]` and their images `[m]`."""
        super().__init__()
        self.model = model
        self.captions = captions
        self.owners = owners
        self.images = int(owners.max()) + 1

    def cosines(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to cosines with all captions, `[b,m]`."""
        return self.embed(images) @ self.captions

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits `[b,n]`."""
        return self.classify(self.embed(images))

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return len(self.captions)

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,d]`."""
        return F.normalize(self.model.encode_image(images), dim=1)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[b,d]` to logits `[b,n]`."""
        found = embeddings @ self.captions
        nearest = found.new_full((len(found), self.images), -torch.inf)
        owners = self.owners.expand_as(found)
        return self.model.logit_scale * nearest.scatter_reduce(1, owners, found, "amax")


class Retrieval:
    """How a model retrieves; a `bench.tasks.embedding_tasks.EmbeddingTask`."""

    def vectors(self, model: ImageTextModel, images: Images, prompts: Sequence[str]) -> Tensor:
        """Return the vectors of all captions, `[d,m]`; there are no prompts."""
        every = [caption for own in images.captions for caption in own]
        return text_vectors(model, every).T.contiguous()

    def head(self, tower: ImageTextModel, vectors: Tensor, images: Images) -> RetrievalClassifier:
        """Return a classifier whose classes are the images."""
        return RetrievalClassifier(tower, vectors, owners_of(images.captions).to(vectors.device))

    def outputs(self, head: RetrievalClassifier, points: Tensor) -> Tensor:
        """Return the cosines of images `[b,3,h,w]` with all captions, `[b,m]`."""
        return head.cosines(points)

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return per image, or per caption, whether it found its own among those of all."""
        return _RECALLS[metric](outputs, owners_of(images.captions).to(outputs.device))

    def sample_ids(self, images: Images, metric: str) -> tuple[str, ...]:
        """Return the ids of images, or of captions where these look for their image."""
        if metric_of(metric).unit == "captions":
            return caption_ids(images.sample_ids, images.captions)
        return images.sample_ids


def owners_of(captions: Sequence[Sequence[str]]) -> Tensor:
    """Return the image of each caption, `[m]`, given those of each image."""
    return torch.tensor([place for place, own in enumerate(captions) for _ in own])


def images_to_text(cosines: Tensor, owners: Tensor, k: int) -> Tensor:
    """Return per image whether one of its captions is among the `k` nearest ones, `[n]`.

    Args:
        cosines: Of images with captions, `[n,m]`.
        owners: The image of each caption, `[m]`.
        k: How many captions are looked at; all where there are fewer.
    """
    nearest = cosines.topk(min(k, cosines.shape[1]), dim=1).indices
    own = owners[nearest] == torch.arange(len(cosines), device=cosines.device)[:, None]
    return own.any(dim=1)


def text_to_images(cosines: Tensor, owners: Tensor, k: int) -> Tensor:
    """Return per caption whether its image is among the `k` nearest ones, `[m]`.

    Arguments are those of `images_to_text`.
    """
    nearest = cosines.topk(min(k, len(cosines)), dim=0).indices
    return (nearest == owners).any(dim=0)


_RECALLS: dict[str, _Recall] = {
    f"{kind}_retrieval_recall@{depth}": partial(found, k=depth)
    for kind, found in (("text", images_to_text), ("image", text_to_images))
    for depth in RECALL_DEPTHS
}


def caption_ids(image_ids: Sequence[str], captions: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return an id for each caption, in the order of the columns of cosines."""
    return tuple(
        f"{key}{ID_SEPARATOR}{number}"
        for key, own in zip(image_ids, captions, strict=True)
        for number, _ in enumerate(own)
    )
