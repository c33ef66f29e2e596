"""Class prompts whose first words are vectors that can be tuned."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt.defences.defence import Base


@dataclass(frozen=True, slots=True)
class TunablePrompts:
    """Prompts `WORDS NAME.`, one per class, in which vectors can take the place of the words.

    Attributes:
        texts: The k prompts.
        embed_texts: Maps texts to embeddings `[n,d]`.
        token_embedding: The module that embeds tokens.
        context: The vectors of the words, `[n,w]`.
    """

    texts: tuple[str, ...]
    embed_texts: Callable[[Sequence[str]], Tensor]
    token_embedding: nn.Module
    context: Tensor

    def vectors(self, context: Tensor) -> Tensor:
        """Return the unit embeddings `[k,d]` of the prompts with other vectors for their words."""
        last = 1 + len(context)  # the first token says that a text starts

        def replace(module: nn.Module, given: Any, embedded: Tensor) -> Tensor:
            words = context.to(embedded).expand(len(embedded), -1, -1)
            return torch.cat([embedded[:, :1], words, embedded[:, last:]], dim=1)

        with _hooked(self.token_embedding, replace):
            return F.normalize(self.embed_texts(self.texts), dim=1)


def tunable_prompts(base: Base, words: str) -> TunablePrompts:
    """Return the prompts of a base's classes.

    Args:
        base: The model; its tokenizer must start texts with a token of its own, as CLIP's does.
        words: The words in front of each class name.

    Raises:
        ValueError: The classes or the text encoder are not known, or the tokens of the words
            differ between the prompts.
    """
    if base.embed_texts is None or base.token_embedding is None or not base.names:
        raise ValueError("tuning prompts needs classes and a text encoder with `token_embedding`")
    texts = tuple(f"{words} {name}." for name in base.names)
    seen: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, given: tuple[Tensor], embedded: Tensor) -> None:
        seen.append((given[0], embedded))

    with torch.no_grad(), _hooked(base.token_embedding, note):
        base.embed_texts((words, *texts))
    ((tokens, embedded),) = seen
    same = (tokens == tokens[:1]).all(dim=0).long().cumprod(dim=0)
    count = int(same.sum()) - 1
    if count < 1:
        raise ValueError(f"words: got {words!r}, which has no token of its own in all prompts")
    return TunablePrompts(
        texts, base.embed_texts, base.token_embedding, embedded[0, 1 : 1 + count].detach()
    )


@contextmanager
def _hooked(module: nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
