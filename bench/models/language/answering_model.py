"""A vision-language model of transformers that answers in words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.models.clip import activation
from bench.models.language.chat import Chat
from bench.models.language.families import Family
from bench.models.language.pixels import Normalisation, Pixels
from radapt.clone import clone
from radapt.grids import grids_of
from radapt.tower import image_size

# nothing is drawn at random in evaluation, so that no random state need be kept
_RECOMPUTE = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)


class LanguageModel(nn.Module):
    """A frozen model with its processor around it; a `bench.core.language_types.AnsweringModel`."""

    def __init__(
        self,
        network: nn.Module,
        family: Family,
        pixels: Pixels,
        chat: Chat,
        *,
        checkpointing: bool = False,
        stated: Mapping[str, str] | None = None,
    ) -> None:
        """Put a model and what surrounds it together.

        Args:
            network: Of transformers, for conditional generation.
            family: Its kind.
            pixels: Makes its inputs of images.
            chat: Makes tokens of texts.
            checkpointing: Whether blocks are computed anew in the backward pass, which takes
                another forward pass and the memory of one block's activations instead of all.
            stated: What else a reader must know of it.
        """
        super().__init__()
        self.network = network
        self.family = family
        self.pixels = pixels
        self.chat = chat
        self.checkpointing = checkpointing
        self.stated = dict(stated or {})
        self._counts: dict[tuple[int, int], int] = {}
        self.eval()

    @property
    def tower(self) -> nn.Module:
        """The vision tower, which takes normalised pixels."""
        return self.network.get_submodule(self.family.tower)

    @property
    def preprocessing(self) -> Normalisation:
        """What the tower's pixels are normalised with."""
        return self.pixels.normalisation

    def with_tower(self, tower: nn.Module, /, **stated: str) -> "LanguageModel":
        """Return the same model with another vision tower; all else is shared.

        Args:
            tower: Of the same kind.
            stated: What a reader must know of it, beside what is known already.
        """
        network = clone(self.network)
        parent, _, leaf = self.family.tower.rpartition(".")
        network.get_submodule(parent)._modules[leaf] = tower
        return LanguageModel(
            network, self.family, self.pixels, self.chat, checkpointing=self.checkpointing,
            stated={**self.stated, **stated},
        )  # fmt: skip

    def facts(self) -> dict[str, str]:
        """Return what a reader of a number must know of the model as it was built."""
        how = self.preprocessing
        sides = "x".join(map(str, image_size(self.tower)))
        return {
            "activation": activation(self.tower),
            "model_pixels": sides if grids_of(self.tower) is None else "any",
            "precision": str(next(self.network.parameters()).dtype).removeprefix("torch."),
            "mean": " ".join(f"{value:.8g}" for value in how.mean),
            "std": " ".join(f"{value:.8g}" for value in how.std),
            "template": "the checkpoint's" if self.chat.shipped else "LLaVA-1.5's",
            "checkpointing": "blocks" if self.checkpointing else "none",
            **self.stated,
        }

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return what the language model is given of images, `[b,t,d]` in single precision.

        Features of earlier blocks, which Qwen3-VL adds in its language model's first layers, are
        not among them.
        """
        inner: Any = self.network.get_submodule("model")
        with self._recomputed():
            found = inner.get_image_features(**self.pixels(images), return_dict=True)
        tokens: list[Tensor] = list(found.pooler_output)
        return torch.stack(tokens).float()

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return the mean log-probability in nats of texts as answers, `[b]`, single precision.

        The mean is over a text's tokens and the one that ends an answer, each given the image, the
        prompt and the tokens before it; differentiable to images `[b,3,h,w]` in [0,1].

        Raises:
            ValueError: A text has the image's own token.
        """
        count = self._image_tokens(images)
        pairs = [
            self.chat.exchange(prompt, text, count)
            for prompt, text in zip(prompts, texts, strict=True)
        ]
        # behind a causal mask what is padded on the right changes nothing before it
        ids, mask = self._padded([asked + said for asked, said in pairs], images, left=False)
        inner: Any = self.network.get_submodule("model")
        with self._recomputed():
            hidden = inner(**self._inputs(ids, mask, images), use_cache=False).last_hidden_state
        longest = max(len(said) for _, said in pairs)
        steps = torch.arange(longest, device=ids.device)
        starts = torch.tensor([len(asked) for asked, _ in pairs], device=ids.device)
        lengths = torch.tensor([len(said) for _, said in pairs], device=ids.device)
        inside = steps < lengths[:, None]
        places = torch.where(inside, starts[:, None] + steps, starts[:, None])
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        head: Any = self.network
        logits = head.get_output_embeddings()(hidden[rows, places - 1]).float()
        wanted = ids[rows, places][..., None]
        each = logits.log_softmax(dim=-1).gather(-1, wanted).squeeze(-1)
        total: Tensor = torch.where(inside, each, 0.0).sum(dim=1)
        return total / lengths

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return greedy answers of at most so many tokens, stripped of blanks at their ends.

        Raises:
            ValueError: A prompt has the image's own token.
        """
        count = self._image_tokens(images)
        asked = [self.chat.question(prompt, count) for prompt in prompts]
        ids, mask = self._padded(asked, images, left=True)
        generator: Any = self.network
        with torch.no_grad():
            found = generator.generate(
                **self._inputs(ids, mask, images), max_new_tokens=tokens, use_cache=True
            )
        said = self.chat.tokenizer.batch_decode(
            found[:, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [text.strip() for text in said]

    def _inputs(self, ids: Tensor, mask: Tensor, images: Tensor) -> dict[str, Tensor]:
        kinds = {"mm_token_type_ids": (ids == self.chat.image_id).long()}
        return {
            "input_ids": ids,
            "attention_mask": mask,
            **(kinds if self.family.typed else {}),
            **self.pixels(images),
        }

    def _image_tokens(self, images: Tensor) -> int:
        """Return how many tokens an image of this size takes."""
        height, width = images.shape[-2:]
        if (height, width) not in self._counts:
            with torch.no_grad():
                tokens = self.visual_tokens(torch.zeros_like(images[:1]))
            self._counts[height, width] = tokens.shape[1]
        return self._counts[height, width]

    def _padded(
        self, rows: Sequence[Sequence[int]], images: Tensor, *, left: bool
    ) -> tuple[Tensor, Tensor]:
        """Return token ids and the mask of those that are no padding, `[b,n]` each."""
        width = max(map(len, rows))
        ids, mask = [], []
        for row in rows:
            padding = [self.chat.ends[0]] * (width - len(row))
            zeros, ones = [0] * len(padding), [1] * len(row)
            ids.append([*padding, *row] if left else [*row, *padding])
            mask.append(zeros + ones if left else ones + zeros)
        return torch.tensor(ids, device=images.device), torch.tensor(mask, device=images.device)

    @contextmanager
    def _recomputed(self) -> Iterator[None]:
        """Let blocks forget their activations, and compute them anew in the backward pass.

        transformers does so in training alone, which it asks each block; nothing within a block
        is told otherwise, so that all stays as in evaluation.
        """
        if not (self.checkpointing and torch.is_grad_enabled()):
            yield
            return
        from transformers.modeling_layers import GradientCheckpointingLayer

        blocks: list[Any] = [
            module for module in self.modules() if isinstance(module, GradientCheckpointingLayer)
        ]
        for block in blocks:
            block._gradient_checkpointing_func = _RECOMPUTE
            block.gradient_checkpointing = block.training = True
        try:
            yield
        finally:
            for block in blocks:
                block.gradient_checkpointing = block.training = False
