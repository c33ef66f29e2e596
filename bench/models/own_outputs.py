"""Models that the user defines, with their outputs checked and converted to float32."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from bench.core.errors import CellError

# where transformers' output objects have the embeddings, in the order in which they are tried
_FIELDS = {
    "encode_image": ("image_embeds", "pooler_output"),
    "encode_text": ("text_embeds", "pooler_output"),
}
_TYPE_ERROR = re.compile("same dtype|scalar type|type .* should be the same")  # of torch


class OwnEmbeddings:
    """A user's model of embeddings; all other attributes are those of the user's object.

    Attributes:
        logit_scale: Factor on the cosine of image and text embeddings.
    """

    def __init__(self, model: Any, name: str) -> None:
        """Wrap a model.

        Args:
            model: The object with `encode_image`, `encode_text` and `logit_scale`.
            name: Name of the factory, for messages.

        Raises:
            CellError: `logit_scale` is not a number.
        """
        self._model, self._name = model, name
        self._size: int | None = None  # of the embeddings of texts
        scale = model.logit_scale
        try:
            self.logit_scale = float(scale.detach() if isinstance(scale, Tensor) else scale)
        except (TypeError, ValueError, RuntimeError) as error:
            raise CellError(
                f"{name}: `logit_scale` must be a number, got {_described(scale)}"
            ) from error

    def encode_image(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings `[b,d]`; differentiable."""
        found = self._called("encode_image", images, len(images))
        if self._size not in (None, found.shape[1]):
            raise CellError(
                f"{self._name}: `encode_image` returned embeddings of {found.shape[1]} dimensions, "
                f"`encode_text` of {self._size}; both must return the same number of dimensions"
            )
        return found

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Map n texts to embeddings `[n,d]`."""
        found = self._called("encode_text", texts, len(texts))
        self._size = found.shape[1]
        return found

    def _called(self, method: str, given: Any, count: int) -> Tensor:
        found = _called(getattr(self._model, method), f"{self._name}: `{method}`", given)
        for field in _FIELDS[method] if not isinstance(found, Tensor) else ():
            if isinstance(embeddings := getattr(found, field, None), Tensor):
                found = embeddings
                break
        what = "image" if method == "encode_image" else "text"
        wanted = f"a tensor [{count},d] of floats, an embedding per {what}"
        return _floats(found, f"{self._name}: `{method}`", wanted, (count, None))

    def __getattr__(self, name: str) -> Any:
        """Return another attribute of the user's object, such as `value_features`."""
        return getattr(object.__getattribute__(self, "_model"), name)  # not this method again


class OwnLogits:
    """A user's model of logits: with `classify(images, class_names)`, or called with images."""

    def __init__(self, model: Any, name: str) -> None:
        """Wrap a model; `name` is that of the factory, for messages."""
        self._model, self._name = model, name

    def logits(self, images: Tensor, classes: Sequence[str]) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits of k classes, `[b,k]`; differentiable."""
        if hasattr(self._model, "classify"):
            method = f"{self._name}: `classify`"
            found = _called(self._model.classify, method, images, list(classes))
        else:
            method = f"{self._name}: the model, called with images,"
            found = _called(self._model, method, images)
        if not isinstance(found, Tensor) and isinstance(getattr(found, "logits", None), Tensor):
            found = found.logits
        wanted = (
            f"a tensor [{len(images)},{len(classes)}] of floats, a logit per image and class of "
            "the dataset"
        )
        return _floats(found, method, wanted, (len(images), len(classes)))


class OwnAnswers:
    """A user's model that answers in words; all other attributes are those of the user's object."""

    def __init__(self, model: Any, name: str) -> None:
        """Wrap a model; `name` is that of the factory, for messages."""
        self._model, self._name = model, name

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return the log-likelihoods of texts, `[b]`; see `AnsweringModel`."""
        method = f"{self._name}: `log_likelihood`"
        found = _called(self._model.log_likelihood, method, images, prompts, texts)
        wanted = f"a tensor [{len(texts)}] of floats, a number per text"
        return _floats(found, method, wanted, (len(texts),))

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return the visual tokens of images, `[b,t,d]`; see `AnsweringModel`."""
        method = f"{self._name}: `visual_tokens`"
        found = _called(self._model.visual_tokens, method, images)
        wanted = f"a tensor [{len(images)},t,d] of floats, t tokens per image"
        return _floats(found, method, wanted, (len(images), None, None))

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return answers; see `AnsweringModel`."""
        found = self._model.answer(images, prompts, tokens=tokens)
        texts = isinstance(found, list | tuple) and all(isinstance(each, str) for each in found)
        if not texts or len(found) != len(prompts):
            count = f" of {len(found)}" if isinstance(found, list | tuple) else ""
            raise CellError(
                f"{self._name}: `answer` must return a list of {len(prompts)} texts, an answer per "
                f"question, got {_described(found)}{count}"
            )
        return list(found)

    def __getattr__(self, name: str) -> Any:
        """Return another attribute of the user's object."""
        return getattr(object.__getattribute__(self, "_model"), name)  # not this method again


class ModelOfLogits(Protocol):
    """A model of logits, in any precision."""

    def logits(self, images: Tensor, classes: Sequence[str]) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits of k classes, `[b,k]`; differentiable."""
        ...


class LogitsClassifier(nn.Module):
    """A model of logits with the class names of a dataset; it has no embeddings."""

    def __init__(self, model: ModelOfLogits, classes: Sequence[str]) -> None:
        """Combine a model with class names."""
        super().__init__()
        self.model, self.classes = model, classes

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits `[b,k]`."""
        return self.model.logits(images, self.classes)


def _called(function: Callable[..., Any], method: str, *given: Any) -> Any:
    try:
        return function(*given)
    except RuntimeError as error:
        if not _TYPE_ERROR.search(str(error)):
            raise
        raise CellError(
            f"{method} must accept float32 images and convert them to the type of its weights: "
            f"{error}"
        ) from error


def _floats(found: Any, method: str, wanted: str, shape: tuple[int | None, ...]) -> Tensor:
    """Return a method's output in float32; raise CellError if it is not what it must return.

    Args:
        found: What the method returned.
        method: The method, for the message.
        wanted: What it must return, for the message.
        shape: The shape; None for a size that is free.
    """
    fits = isinstance(found, Tensor) and found.is_floating_point() and found.ndim == len(shape)
    if not fits or any(
        size not in (None, got) for size, got in zip(shape, found.shape, strict=True)
    ):
        raise CellError(f"{method} must return {wanted}, got {_described(found)}")
    converted: Tensor = found.float()
    return converted


def _described(found: object) -> str:
    if isinstance(found, Tensor):
        size = ",".join(map(str, found.shape))
        return f"a tensor [{size}] of {str(found.dtype).removeprefix('torch.')}"
    return "None" if found is None else f"a {type(found).__name__}"
