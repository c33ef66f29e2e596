"""Objectives of adversarial fine-tuning: FARE, TeCoA and TGA.

In all three the training attack maximises the same per-image loss that training minimises. TGA
adds a loss on attention maps, which the attack does not use.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt.options import check_word
from radapt.tower import embedding, normalisation, normalise

NormAxis = Literal["tokens", "width"]


class RobustLoss(Protocol):
    """A loss per image as a function of the embedding only; labels or targets are bound to it."""

    def __call__(self, embedding: Tensor, /) -> Tensor:
        """Map embeddings `[b,d]` of perturbed images to losses `[b]`."""
        ...


class TokenLoss(Protocol):
    """A loss per image as a function of its adversarial and clean tokens."""

    def __call__(self, attacked: Tensor, clean: Tensor) -> Tensor:
        """Map two sets of tokens in the joint embedding space `[b,1+n,d]` to losses `[b]`."""
        ...


@dataclass(frozen=True, slots=True)
class Objective:
    """The training objective of a method.

    Attributes:
        loss: Maps clean images `[b,3,h,w]` in [0,1] and labels `[b]` to the loss that the
            attack maximises and training minimises.
        guidance: Maps the same to a loss on tokens that training adds; the tower then also
            computes the clean images. None for no such loss.
    """

    loss: Callable[[Tensor, Tensor], RobustLoss]
    guidance: Callable[[Tensor, Tensor], TokenLoss] | None = None


def fare_loss(clean_embedding: Tensor) -> RobustLoss:
    """FARE: squared L2 distance to the original model's embedding of the clean image.

    Schlarmann et al. 2024 (arXiv:2402.12336), eq. 3. No labels and no text; the
    embeddings are not normalised and the squares are summed over dimensions.

    Args:
        clean_embedding: `[b,d]`, from the frozen original tower on the clean images.
    """
    return lambda attacked: (attacked - clean_embedding).square().sum(dim=1)


def cosine_loss(clean_embedding: Tensor) -> RobustLoss:
    """Return the loss 1 - cosine similarity to the clean image's embedding, `[b,d]`."""
    return lambda attacked: 1 - F.cosine_similarity(attacked, clean_embedding, dim=1)


def tecoa_loss(text: Tensor, labels: Tensor, scale: float = 100.0) -> RobustLoss:
    """TeCoA: cross-entropy of the zero-shot classifier over the training classes.

    Mao et al. 2023 (arXiv:2212.07016), eq. 3, with RobustVLM's logit scale.

    Args:
        text: Normalised class vectors, `[k,d]`.
        labels: Class of each image, `[b]`.
        scale: Factor on the cosine similarity.
    """

    def loss(attacked: Tensor) -> Tensor:
        logits = scale * F.normalize(attacked, dim=1) @ text.T
        return F.cross_entropy(logits, labels, reduction="none")

    return loss


def on_images(loss: RobustLoss, embed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a loss as a function of [0,1] pixels; `embed` maps pixels to embeddings."""
    return lambda images: loss(embed(images))


def fare(
    original: nn.Module,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Objective:
    """Return FARE's objective; `original` is the frozen tower that training starts from."""
    scaling = normalisation(original, mean, std)

    def loss(images: Tensor, labels: Tensor) -> RobustLoss:
        with torch.no_grad():
            return fare_loss(embedding(original, normalise(images, *scaling)).float())

    return Objective(loss)


def tecoa(text: Tensor, *, scale: float = 100.0) -> Objective:
    """Return TeCoA's objective; `text` has the normalised class vectors `[k,d]`."""
    return Objective(lambda images, labels: tecoa_loss(text, labels, scale))


def tga(
    original: nn.Module,
    text: Tensor,
    *,
    scale: float = 100.0,
    attacked_weight: float = 0.08,
    clean_weight: float = 0.05,
    norm_axis: NormAxis = "tokens",
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Objective:
    """Return TGA's objective: TeCoA's loss, and distances between text-guided attention maps.

    Yu et al. 2024 (TGA-ZSR, arXiv:2410.21802). The attention map of an image is the product
    of its patch tokens with its class's text vector. Training adds two L2 distances to the
    original tower's map of the clean image: of the map of the adversarial image, and of the map
    of the clean image. The distances are sums over pixels, so their weights hold for one image
    size (in the paper 224 pixels).

    Args:
        original: The frozen tower that training starts from.
        text: Normalised class vectors `[k,d]`.
        scale: Logit scale: the factor on cosine similarities.
        attacked_weight: Weight of the adversarial image's distance (alpha in the paper).
        clean_weight: Weight of the clean image's distance (beta in the paper).
        norm_axis: Axis along which patch features are normalised. The authors' code uses
            `tokens`; `width` would match the normalisation of the text vector.
        mean: Mean of the tower's normalisation per channel; None for the tower's own
            (`radapt.tower.normalisation`).
        std: Standard deviation of the tower's normalisation per channel; None for its own.
    """
    check_word("norm_axis", norm_axis, NormAxis)
    scaling = normalisation(original, mean, std)

    def guidance(images: Tensor, labels: Tensor) -> TokenLoss:
        wanted = text[labels]
        size = (images.shape[-2], images.shape[-1])
        with torch.no_grad(), shared_tokens(original) as found:
            original(normalise(images, *scaling))
        target = text_attention(found[0], wanted, size, norm_axis)

        def loss(attacked: Tensor, clean: Tensor) -> Tensor:
            maps = [text_attention(tokens, wanted, size, norm_axis) for tokens in (attacked, clean)]
            far, near = (torch.linalg.vector_norm(m - target, dim=(1, 2)) for m in maps)
            total: Tensor = attacked_weight * far + clean_weight * near
            return total

        return loss

    return Objective(tecoa(text, scale=scale).loss, guidance)


def text_attention(
    tokens: Tensor,
    wanted: Tensor,
    size: tuple[int, int],
    norm_axis: NormAxis = "tokens",
) -> Tensor:
    """Return TGA-ZSR's text-guided attention: how well each part of an image matches a text.

    Args:
        tokens: Tokens in the joint embedding space `[b,1+n,d]`, class token first. The class
            token is included in the norm over tokens, but not in the map.
        wanted: A normalised text vector per image, `[b,d]`.
        size: Height and width of the map in pixels.
        norm_axis: See `tga`.

    Returns:
        Maps in [0,1], `[b,h,w]`.
    """
    with torch.autocast(tokens.device.type, enabled=False):  # keeps the einsum in fp32
        patches = F.normalize(tokens.float(), dim=1 if norm_axis == "tokens" else 2)[:, 1:]
        match = torch.einsum("bnd,bd->bn", patches, wanted.float())
    low, high = match.amin(dim=1, keepdim=True), match.amax(dim=1, keepdim=True)
    match = (match - low) / (high - low).clamp_min(1e-12)
    side = int(match.shape[1] ** 0.5)
    grid = match.reshape(-1, 1, side, match.shape[1] // side)
    maps: Tensor = F.interpolate(grid, size, mode="bilinear", align_corners=False)
    return maps[:, 0]


@contextmanager
def shared_tokens(tower: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the tokens `[b,1+n,d]` of each forward pass inside the `with` block.

    The tokens are in the joint embedding space: they pass through the tower's final norm and
    projection, as the class token does, so both are trained.

    Raises:
        TypeError: The tower is not an open_clip vision transformer with a norm over all tokens,
            or it drops patches.
    """
    norm, projection = getattr(tower, "ln_post", None), getattr(tower, "proj", None)
    pooled_first = getattr(tower, "final_ln_after_pool", False)
    if (
        norm is None
        or not isinstance(projection, Tensor)
        or pooled_first
        or getattr(tower, "attn_pool", None) is not None
    ):
        raise TypeError(
            f"TGA needs patch tokens after a final norm and a projection; {type(tower).__name__} "
            "has none; use open_clip's VisionTransformer with its default pooling"
        )
    if getattr(getattr(tower, "patch_dropout", None), "prob", 0):
        raise TypeError("TGA needs all patches; this tower drops some, set patch_dropout to 0")
    found: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        found.append(output @ projection)

    handle = norm.register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()
