"""A CLIP whose resizing and normalisation are part of its forward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.value_features import value_features
from bench.suite.specs import Resize
from radapt.tower import embedding, normalise

# Classes of activations by the names that open_clip's and transformers' configurations give them.
ACTIVATIONS = {
    "QuickGELU": "quick_gelu",
    "QuickGELUActivation": "quick_gelu",
    "GELU": "gelu",
    "GELUActivation": "gelu",
    "GELUTanh": "gelu_tanh",
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What happens to images in [0,1] before the tower.

    Attributes:
        size: Height and width that the tower takes.
        mean: Mean of its normalisation, per channel.
        std: Deviation of its normalisation, per channel.
        resize: How images of another size are brought to it.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize


class ClipModel(nn.Module):
    """A vision tower that takes normalised pixels, with what surrounds it."""

    def __init__(
        self,
        tower: nn.Module,
        encode: Callable[[Sequence[str]], Tensor],
        logit_scale: float,
        preprocessing: Preprocessing,
    ) -> None:
        """Wrap a tower, an encoder of texts, and the factor on their cosine."""
        super().__init__()
        self.tower = tower
        self.encode = encode
        self.logit_scale = logit_scale
        self.preprocessing = preprocessing

    def encode_image(self, images: Tensor) -> Tensor:
        """Resize where the size differs, normalise, and embed."""
        how = self.preprocessing
        if tuple(images.shape[-2:]) != how.size:
            images = resized(images, how.size, how.resize)
        return embedding(self.tower, normalise(images, how.mean, how.std))

    def value_features(self, images: Tensor, blocks: int) -> Tensor:
        """Return the last blocks' value features `[b,blocks,t,d]`: `bench.models.value_features`.

        Raises:
            CellError: The tower is of a kind that has none.
        """
        how = self.preprocessing
        if tuple(images.shape[-2:]) != how.size:
            images = resized(images, how.size, how.resize)
        return value_features(self.tower, normalise(images, how.mean, how.std), blocks)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts `[n,d]`."""
        return self.encode(texts)

    def with_tower(self, tower: nn.Module) -> "ClipModel":
        """Return the same model with another vision tower."""
        return ClipModel(tower, self.encode, self.logit_scale, self.preprocessing)

    def facts(self) -> dict[str, str]:
        """Return what a reader of a number must know of the model as it was built."""
        how = self.preprocessing
        return {
            "activation": activation(self.tower),
            "model_pixels": "x".join(map(str, how.size)),
            "mean": " ".join(f"{value:.8g}" for value in how.mean),
            "std": " ".join(f"{value:.8g}" for value in how.std),
            "logit_scale": f"{self.logit_scale:.6g}",
        }


def activation(tower: nn.Module) -> str:
    """Return the name of a tower's activation; of several, with a plus between."""
    found = {ACTIVATIONS.get(type(module).__name__) for module in tower.modules()}
    return "+".join(sorted(name for name in found if name))


def resized(images: Tensor, size: tuple[int, int], how: Resize) -> Tensor:
    """Return images `[b,3,h,w]` of another size.

    torch's bicubic kernel has the coefficient -0.5 with antialiasing, as PIL's, and -0.75
    without: the two differ where images grow too, by 0.016 per pixel on noise of 32 pixels.
    """
    images = F.interpolate(images, size, mode=how.kernel, antialias=how.antialias)
    return images.clamp(0, 1) if how.clamp else images
