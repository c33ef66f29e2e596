"""Questions about images, and the interfaces of models that answer in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bench.core.errors import CellError

if TYPE_CHECKING:  # planning and reporting must start without torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Question:
    """A question about an image, with its reference answers.

    Attributes:
        prompt: The question, or the request for a caption, as plain text. The model wraps it in
            its own chat template.
        answers: Reference answers: the image's captions, or the answer of each annotator.
        names: Accepted names of the true object; empty if the dataset has none.
        decoy: The object that a targeted attack wants the model to see; empty if the dataset
            has none.
        answer_type: Type of the answer as the dataset states it, such as `yes/no`, `number` and
            `other`; None if it states none. Tables use it; scores do not depend on it.
    """

    prompt: str
    answers: tuple[str, ...]
    names: tuple[str, ...] = ()
    decoy: str = ""
    answer_type: str | None = None


@runtime_checkable
class PromptedModel(Protocol):
    """An answering model bound to a dataset: each row has a question and a text."""

    def likelihood(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the log-likelihood `[b]` of each row's text, in nats per token; differentiable.

        See `AnsweringModel.log_likelihood`.

        Args:
            images: `[b,3,h,w]` in [0,1].
            rows: The dataset row of each image, `[b]`.
        """
        ...


@runtime_checkable
class HasValueFeatures(Protocol):
    """A CLIP that returns the value vectors of its attention layers."""

    def value_features(self, images: Tensor, blocks: int) -> Tensor:
        """Return the value features of the last `blocks` blocks, `[b,blocks,t,d]`, of length 1."""
        ...


@runtime_checkable
class HasDecoyMargin(Protocol):
    """A CLIP that compares value features with texts: the decoy and the true object."""

    def decoy_margin(self, images: Tensor, rows: Tensor, blocks: int) -> Tensor:
        """Return cos(values, decoy) - cos(values, true object), `[b]`; differentiable.

        Args:
            images: `[b,3,h,w]` in [0,1].
            rows: The dataset row of each image, `[b]`.
            blocks: Number of last attention blocks whose value features are compared.
        """
        ...


def require_value_features(model: object) -> HasValueFeatures:
    """Return the model, or raise CellError if it has no value features."""
    if not isinstance(model, HasValueFeatures):
        raise CellError(
            "the model has no value features; allowed: a CLIP of open_clip, transformers or nano"
        )
    return model


def require_decoy_margin(model: object) -> HasDecoyMargin:
    """Return the model, or raise CellError if it cannot compare value features with texts."""
    if not isinstance(model, HasDecoyMargin):
        raise CellError("a loss on value features needs a CLIP; this model is not a CLIP")
    return model


def require_prompted_model(model: object) -> PromptedModel:
    """Return the model, or raise CellError if it does not answer questions."""
    if not isinstance(model, PromptedModel):
        raise CellError(
            "a loss on texts needs a model that answers in words; this model is a classifier"
        )
    return model


@runtime_checkable
class AnsweringModel(Protocol):
    """A vision-language model that answers in words.

    Images are `[b,3,h,w]` in [0,1], all of one size. The model resizes and normalises them, makes
    patches and applies its chat template, as its own processor does. The answer to an image does
    not depend on the rest of the batch or on the batch size, up to rounding. In half precision
    rounding is coarse, so some answers differ.
    """

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return the log-likelihood of a text as the answer to each image, `[b]`; differentiable.

        It is the mean log-probability, in nats, of the text's tokens and of the end-of-answer
        token, each given the image, the prompt and the tokens before it (teacher forcing).
        """
        ...

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return the image tokens that the language model receives, `[b,t,d]`; differentiable."""
        ...

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return greedy answers of at most `tokens` tokens, one per image, without gradients."""
        ...


def replace_surrogates(text: str) -> str:
    """Return a text with `?` in place of each lone surrogate, which UTF-8 cannot encode.

    Texts of models, suites and JSON files can contain lone surrogates.
    """
    return text.encode("utf-8", "replace").decode()
