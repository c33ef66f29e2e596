"""A CLIP that resizes and normalises images in its forward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.value_features import value_features
from bench.suite.specs import Resize
from radapt.activations import activation
from radapt.tower import embedding, normalise


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The preprocessing of images in [0,1] before the vision tower.

    Attributes:
        size: Height and width of the tower's input, in pixels.
        mean: Mean of the normalisation, per channel.
        std: Standard deviation of the normalisation, per channel.
        resize: How images of another size are resized to `size`.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize


class ClipModel(nn.Module):
    """A CLIP-like model: vision tower, text encoder, logit scale and preprocessing.

    Attributes:
        tower: Maps normalised pixels `[b,3,h,w]` to embeddings.
        encode: Maps n texts to embeddings `[n,d]`.
        logit_scale: Factor on the cosine of image and text embeddings.
        preprocessing: Resizing and normalisation before the tower.
        token_embedding: The module of the text encoder that embeds tokens; None if it has none.
    """

    def __init__(
        self,
        tower: nn.Module,
        encode: Callable[[Sequence[str]], Tensor],
        logit_scale: float,
        preprocessing: Preprocessing,
        token_embedding: nn.Module | None = None,
    ) -> None:
        """Combine the parts of the model."""
        super().__init__()
        self.tower = tower
        self.encode = encode
        self.logit_scale = logit_scale
        self.preprocessing = preprocessing
        self.token_embedding = token_embedding

    def encode_image(self, images: Tensor) -> Tensor:
        """Return embeddings `[b,d]` of images `[b,3,h,w]` in [0,1]; differentiable."""
        return embedding(self.tower, self._preprocessed(images))

    def value_features(self, images: Tensor, blocks: int) -> Tensor:
        """Return the value features of the last blocks, `[b,blocks,t,d]`, of norm 1.

        See `bench.models.value_features`.

        Raises:
            CellError: This kind of tower has no value features.
        """
        return value_features(self.tower, self._preprocessed(images), blocks)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings `[n,d]` of n texts."""
        return self.encode(texts)

    def with_tower(self, tower: nn.Module) -> "ClipModel":
        """Return the same model with another vision tower."""
        return ClipModel(
            tower, self.encode, self.logit_scale, self.preprocessing, self.token_embedding
        )

    def _preprocessed(self, images: Tensor) -> Tensor:
        settings = self.preprocessing
        if tuple(images.shape[-2:]) != settings.size:
            images = resized(images, settings.size, settings.resize)
        return normalise(images, settings.mean, settings.std)

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        settings = self.preprocessing
        return {
            "activation": activation(self.tower),
            "model_pixels": "x".join(map(str, settings.size)),
            "mean": " ".join(f"{value:.8g}" for value in settings.mean),
            "std": " ".join(f"{value:.8g}" for value in settings.std),
            "logit_scale": f"{self.logit_scale:.6g}",
        }


def resized(images: Tensor, size: tuple[int, int], how: Resize) -> Tensor:
    """Return images `[b,3,h,w]` resized to a height and width in pixels.

    torch's bicubic kernel has the coefficient -0.5 with antialiasing (as in PIL) and -0.75
    without. So the two also differ when images are enlarged: by 0.016 per pixel on noise of 32
    pixels.
    """
    images = F.interpolate(images, size, mode=how.kernel, antialias=how.antialias)
    return images.clamp(0, 1) if how.clamp else images
