"""What a test-time defence is, and how gradients are taken through it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# How the gradient of a defended embedding is taken; the embedding itself is the same.
# `exact`: the derivative of everything that the defence computes.
# `identity`: the change of the image counts as constant (straight-through, BPDA of Athalye et al.
#   2018, arXiv:1802.00420), so the gradient is the base's at the changed image.
# `base`: the gradient is the base's at the given image.
Gradient = Literal["exact", "identity", "base"]


@dataclass(frozen=True, slots=True)
class Base:
    """The model that a defence protects.

    Attributes:
        embed: Maps images `[b,3,h,w]` in [0,1], of any size, to embeddings `[b,d]`;
            differentiable.
        embed_texts: Maps n texts to embeddings `[n,d]`; for defences that need texts.
        classes: Text vectors of the classes, of norm 1, `[d,k]`; for defences that need classes.
        names: Names of the classes; for defences that give logits.
        token_embedding: The module of the text encoder that embeds tokens; for defences that tune
            prompts.
        logit_scale: Factor on the cosine of image and text.
    """

    embed: Callable[[Tensor], Tensor]
    embed_texts: Callable[[Sequence[str]], Tensor] | None = None
    classes: Tensor | None = None
    names: tuple[str, ...] = ()
    token_embedding: nn.Module | None = None
    logit_scale: float = 1.0

    def unit(self, images: Tensor) -> Tensor:
        """Return embeddings of norm 1, `[b,d]`."""
        return F.normalize(self.embed(images), dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Return zero-shot logits `[b,k]`.

        Raises:
            ValueError: The classes are not known.
        """
        if self.classes is None:
            raise ValueError("this defence needs the classes, which are not known here")
        return self.logit_scale * self.unit(images) @ self.classes


class AnyDefence:
    """What a defence declares; a subclass holds the method's parameters.

    Attributes:
        random: Whether two embeddings of the same image differ. Random numbers come from torch's
            global generator, separately for each image.
        gradients: The ways in which gradients can be taken, the usual way first.
        needs_classes: Whether the defence depends on the classes of the dataset.
    """

    random: ClassVar[bool] = False
    gradients: ClassVar[tuple[Gradient, ...]] = ("exact", "base")
    needs_classes: ClassVar[bool] = False


class Defence(AnyDefence, ABC):
    """Embeds an image in another way than its base."""

    @abstractmethod
    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return the defended embeddings `[b,d]` of images `[b,3,h,w]` in [0,1]."""
        ...


class ImageDefence(Defence):
    """A defence that changes the image and lets the base embed it."""

    gradients: ClassVar[tuple[Gradient, ...]] = ("exact", "identity", "base")

    @abstractmethod
    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the changed images `[b,3,h,w]` of images in [0,1]."""
        ...

    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return the base's embeddings `[b,d]` of the changed images."""
        return base.embed(self.change(base, images))


class Defended(nn.Module):
    """A base behind a defence: maps images `[b,3,h,w]` in [0,1] to embeddings `[b,d]`."""

    def __init__(self, defence: Defence, base: Base, gradient: Gradient | None = None) -> None:
        """Combine a defence and its base.

        Args:
            defence: The defence.
            base: The model that it protects.
            gradient: How gradients are taken; the defence's usual way if None.

        Raises:
            ValueError: Gradients of this defence cannot be taken in this way.
        """
        super().__init__()
        if gradient is not None and gradient not in defence.gradients:
            allowed = ", ".join(defence.gradients)
            name = type(defence).__name__
            raise ValueError(f"gradient: got {gradient!r}; allowed for {name}: {allowed}")
        self.defence = defence
        self.base = base
        self.gradient = gradient or defence.gradients[0]

    def forward(self, images: Tensor) -> Tensor:
        """Return the defended embeddings; their values do not depend on `gradient`."""
        if self.gradient == "exact" or not (images.requires_grad and torch.is_grad_enabled()):
            return self.defence.embed(self.base, images)
        if self.gradient == "base":
            with torch.no_grad():
                embeddings = self.defence.embed(self.base, images)
            return with_gradient_of(embeddings, self.base.embed(images))
        assert isinstance(self.defence, ImageDefence)
        with torch.no_grad():
            changed = self.defence.change(self.base, images)
        return self.base.embed(with_gradient_of(changed, images))


class LogitDefence(AnyDefence, ABC):
    """A defence that classifies an image in another way than its base, without an embedding."""

    gradients: ClassVar[tuple[Gradient, ...]] = ("exact", "identity", "base")

    @abstractmethod
    def undefended(self, base: Base, images: Tensor) -> Tensor:
        """Return the logits `[b,k]` that the defence starts from."""
        ...

    @abstractmethod
    def logits(self, base: Base, images: Tensor, *, unrolled: bool) -> Tensor:
        """Return the logits `[b,k]` of images `[b,3,h,w]` in [0,1].

        Args:
            base: The model that is defended.
            images: The images.
            unrolled: Whether the gradient passes what the defence adapts to the image; else that
                counts as constant.
        """
        ...


def defended_logits(
    defence: LogitDefence, base: Base, images: Tensor, gradient: Gradient
) -> Tensor:
    """Return the logits `[b,k]` of a defence; their values do not depend on `gradient`."""
    if gradient != "base" or not (images.requires_grad and torch.is_grad_enabled()):
        return defence.logits(base, images, unrolled=gradient == "exact")
    with torch.no_grad():
        logits = defence.logits(base, images, unrolled=False)
    return with_gradient_of(logits, defence.undefended(base, images))


def with_gradient_of(values: Tensor, source: Tensor) -> Tensor:
    """Return `values`, with the gradient of a tensor of the same shape."""
    return values + (source - source.detach())  # the difference is exactly zero


def sign_of_gradient(loss: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Return the sign of the gradient of a loss per image, for a step of a defence.

    The sign is constant around almost every point, so its derivative is zero: an exact gradient of
    the defence needs no second derivative of the model.

    Args:
        loss: Maps points `[b,3,h,w]` to losses `[b]`.
        points: The points.
    """
    with torch.enable_grad():
        given = points.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(given).sum(), given)
    return gradient.sign()


def within_box(change: Tensor, images: Tensor) -> Tensor:
    """Return a change `[b,3,h,w]` clamped so that the changed images are in [0,1]."""
    return torch.minimum(torch.maximum(change, -images), 1 - images)
