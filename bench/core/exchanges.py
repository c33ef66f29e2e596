"""The nouns that concern models which answer in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bench.core.errors import CellError

if TYPE_CHECKING:  # planning and reporting must start without torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a model is asked about an image, and what is known to be right.

    Attributes:
        prompt: The question, or what asks for a caption, in plain words: the model puts it into
            the form of its own chat.
        answers: References: an image's captions, or what each annotator answered.
        names: What the true object may be called; empty where nobody says.
        decoy: What a targeted attack wants the object to be taken for; empty where nobody says.
    """

    prompt: str
    answers: tuple[str, ...]
    names: tuple[str, ...] = ()
    decoy: str = ""


@runtime_checkable
class Speaker(Protocol):
    """A model that was asked: it has a question and a text for each row of a dataset."""

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return how likely it says of images `[b,3,h,w]` the texts of rows `[b]`, `[b]`.

        As `AnsweringModel.log_likelihood`, in nats per token; differentiable.
        """
        ...


@runtime_checkable
class Valued(Protocol):
    """A CLIP that shows what its attention hands on of each patch."""

    def value_features(self, images: Tensor, blocks: int) -> Tensor:
        """Return the value features of the last blocks, `[b,blocks,t,d]`, of length 1."""
        ...


@runtime_checkable
class Leaning(Protocol):
    """A model that sees images lean from what they show to what they are to be taken for."""

    def lean(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return how far images `[b,3,h,w]` of rows `[b]` lean, `[b]`; differentiable."""
        ...


def valued(model: object) -> Valued:
    """Return the model, or raise CellError where it has no value features."""
    if not isinstance(model, Valued):
        raise CellError("value features are a CLIP's of open_clip, transformers or nano")
    return model


def leaning(model: object) -> Leaning:
    """Return the model, or raise CellError where it sees no image lean."""
    if not isinstance(model, Leaning):
        raise CellError("a loss of value features needs a CLIP; this model is none")
    return model


def speaker(model: object) -> Speaker:
    """Return the model, or raise CellError where it was not asked anything."""
    if not isinstance(model, Speaker):
        raise CellError("a loss of texts needs a model that answers in words; this one does not")
    return model


@runtime_checkable
class AnsweringModel(Protocol):
    """A vision-language model that answers in words.

    Images are `[b,3,h,w]` in [0,1], all of one size; resizing, normalisation, patches and the
    template of the chat happen inside, as the model's own processor does them. What is said of
    an image depends neither on the others of its batch nor on how many there are, up to rounding:
    in half precision, where that is coarse, some answers differ.
    """

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return how likely a text is as the answer, per image, `[b]`; differentiable.

        That is the mean log-probability in nats of the text's tokens and of the one that ends an
        answer, each given the image, the prompt and the tokens before it (teacher forcing).
        """
        ...

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return what the language model is given of images, `[b,t,d]`; differentiable."""
        ...

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return greedy answers of at most so many tokens, one per image, without gradients."""
        ...


def encodable(text: str) -> str:
    """Return a text with `?` for each half of a character, which no file can hold.

    Models, suites and JSON can all give such halves (lone surrogates).
    """
    return text.encode("utf-8", "replace").decode()
