"""Image-to-text and text-to-image retrieval, with recall at several depths."""

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
    """A classifier of images whose classes are all images, each described by its captions.

    The logit for image j is the largest cosine with any caption of j, times the model's logit
    scale. So the argmax is an image's own index exactly if its nearest caption is one of its own
    (recall@1), and cross-entropy compares the similarity to its own captions with the similarity to
    all others. This makes attacks on classifiers work on retrieval.
    """

    def __init__(self, model: ImageTextModel, captions: Tensor, owners: Tensor) -> None:
        """Create a classifier.

        Args:
            model: The model that embeds images.
            captions: Normalised text vectors of all captions, `[d,m]`.
            owners: Index of the image of each caption, `[m]`.
        """
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
        """Number of dimensions of an embedding."""
        return len(self.captions)

    def embed(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings of length 1, `[b,d]`."""
        return F.normalize(self.model.encode_image(images), dim=1)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[b,d]` to logits `[b,n]`."""
        cosines = embeddings @ self.captions
        nearest = cosines.new_full((len(cosines), self.images), -torch.inf)
        owners = self.owners.expand_as(cosines)
        return self.model.logit_scale * nearest.scatter_reduce(1, owners, cosines, "amax")


class Retrieval:
    """Retrieval as a `bench.tasks.embedding_tasks.EmbeddingTask`."""

    def vectors(self, model: ImageTextModel, images: Images, prompts: Sequence[str]) -> Tensor:
        """Return the text vectors of all captions, `[d,m]`; `prompts` is not used."""
        texts = [caption for own in images.captions for caption in own]
        return text_vectors(model, texts).T.contiguous()

    def head(self, tower: ImageTextModel, vectors: Tensor, images: Images) -> RetrievalClassifier:
        """Return a classifier whose classes are the images."""
        return RetrievalClassifier(tower, vectors, owners_of(images.captions).to(vectors.device))

    def outputs(self, head: RetrievalClassifier, points: Tensor) -> Tensor:
        """Return the cosines of images `[b,3,h,w]` with all captions, `[b,m]`."""
        return head.cosines(points)

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return whether each image or caption has a match among its k nearest neighbours."""
        return _RECALLS[metric](outputs, owners_of(images.captions).to(outputs.device))

    def sample_ids(self, images: Images, metric: str) -> tuple[str, ...]:
        """Return the ids of images, or of captions in text-to-image retrieval."""
        if metric_of(metric).unit == "captions":
            return caption_ids(images.sample_ids, images.captions)
        return images.sample_ids


def owners_of(captions: Sequence[Sequence[str]]) -> Tensor:
    """Return the index of the image of each caption, `[m]`, given each image's captions."""
    return torch.tensor([index for index, own in enumerate(captions) for _ in own])


def images_to_text(cosines: Tensor, owners: Tensor, k: int) -> Tensor:
    """Return whether one of an image's captions is among its `k` nearest captions, `[n]`.

    Args:
        cosines: Cosines of images with captions, `[n,m]`.
        owners: Index of the image of each caption, `[m]`.
        k: Number of nearest captions; all captions if there are fewer.
    """
    nearest = cosines.topk(min(k, cosines.shape[1]), dim=1).indices
    own = owners[nearest] == torch.arange(len(cosines), device=cosines.device)[:, None]
    return own.any(dim=1)


def text_to_images(cosines: Tensor, owners: Tensor, k: int) -> Tensor:
    """Return whether a caption's image is among its `k` nearest images, `[m]`.

    The arguments are those of `images_to_text`.
    """
    nearest = cosines.topk(min(k, len(cosines)), dim=0).indices
    return (nearest == owners).any(dim=0)


_RECALLS: dict[str, _Recall] = {
    f"{kind}_retrieval_recall@{depth}": partial(recall, k=depth)
    for kind, recall in (("text", images_to_text), ("image", text_to_images))
    for depth in RECALL_DEPTHS
}


def caption_ids(image_ids: Sequence[str], captions: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the ids of all captions, in the order of the columns of the cosines."""
    return tuple(
        f"{key}{ID_SEPARATOR}{number}"
        for key, own in zip(image_ids, captions, strict=True)
        for number, _ in enumerate(own)
    )
