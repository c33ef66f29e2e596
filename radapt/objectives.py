"""What adversarial fine-tuning minimises: the objectives of FARE, TeCoA and TGA.

In all three the attacker inside training maximises the same per-image loss that training
minimises on its images; TGA adds a term on where the tower looks.
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
    """One loss per image from its embedding, with everything else bound beforehand."""

    def __call__(self, embedding: Tensor, /) -> Tensor:
        """Map embeddings `[b,d]` of perturbed images to losses `[b]`."""
        ...


class TokenLoss(Protocol):
    """One loss per image from its tokens under attack and clean."""

    def __call__(self, attacked: Tensor, clean: Tensor) -> Tensor:
        """Map two sets of tokens in the shared space, `[b,1+n,d]`, to losses `[b]`."""
        ...


@dataclass(frozen=True, slots=True)
class Objective:
    """What one method trains for.

    Attributes:
        loss: Binds images `[b,3,h,w]` in [0,1] and labels `[b]` to the loss that the attack
            maximises and training minimises.
        guidance: Binds the same to a further loss, on tokens, that training adds; the
            tower then sees each image clean as well.
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
    """One minus the cosine between an embedding and that of the clean image, `[b,d]`."""
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
    """Return a loss as a function of pixels, for an attack; `embed` maps [0,1] pixels."""
    return lambda images: loss(embed(images))


def fare(
    original: nn.Module,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Objective:
    """Return FARE's objective, with `original` the frozen tower that training starts from."""
    scaling = normalisation(original, mean, std)

    def loss(images: Tensor, labels: Tensor) -> RobustLoss:
        with torch.no_grad():
            return fare_loss(embedding(original, normalise(images, *scaling)).float())

    return Objective(loss)


def tecoa(text: Tensor, *, scale: float = 100.0) -> Objective:
    """Return TeCoA's objective over classes with the normalised vectors `text`, `[k,d]`."""
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
    """Return TGA's objective: TeCoA's, and text-guided attention held to the original's.

    Yu et al. 2024 (TGA-ZSR, arXiv:2410.21802). The attention map of an image is the match
    of its patch tokens with its class's text vector; what is added is the L2 distance
    between maps, of the attacked image and of the clean one, to the original tower's map
    of the clean image. The distances are not averaged over pixels, so their weights belong
    to an image size (the paper's: 224 pixels).

    Args:
        original: The frozen tower that training starts from.
        text: Normalised class vectors, `[k,d]`.
        scale: Factor on the cosine similarity.
        attacked_weight: Weight of the attacked image's distance (the paper's alpha).
        clean_weight: Weight of the clean image's distance (the paper's beta).
        norm_axis: Axis along which patch features are divided by their norm. The authors'
            code takes the axis of tokens; the text vector would suggest the width.
        mean: Mean of the tower's normalisation, per channel; its own when not given
            (`radapt.tower.normalisation`).
        std: Deviation of the tower's normalisation, likewise.
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
    """Return where an image agrees with a text: TGA-ZSR's text-guided attention.

    Args:
        tokens: In the shared space, `[b,1+n,d]`, class token first. It takes part in the
            norm over tokens and is left out of the map.
        wanted: One normalised text vector per image, `[b,d]`.
        size: Height and width of the map, in pixels.
        norm_axis: See `tga`.

    Returns:
        Maps in [0,1], `[b,h,w]`.
    """
    with torch.autocast(tokens.device.type, enabled=False):  # an einsum would be lowered
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
    """Collect all tokens in the shared space, `[b,1+n,d]`, at each forward in the block.

    They pass the tower's own final norm and projection, as the class token does, so that
    training moves both.

    Raises:
        TypeError: The tower is no open_clip vision transformer with a norm over all tokens, or
            leaves some of them out.
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
            "has none (open_clip's VisionTransformer with the usual pooling has)"
        )
    if getattr(getattr(tower, "patch_dropout", None), "prob", 0):
        raise TypeError("TGA compares maps of all patches; this tower drops some (patch_dropout)")
    found: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        found.append(output @ projection)

    handle = norm.register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()
