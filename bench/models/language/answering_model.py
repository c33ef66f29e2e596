"""A vision-language model of transformers that answers in words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.models.language.chat import Chat
from bench.models.language.families import Family
from bench.models.language.pixels import Normalisation, Pixels
from radapt.activations import activation
from radapt.clone import clone
from radapt.grids import grids_of
from radapt.tower import image_size

# evaluation draws no random numbers, so random states need not be saved
_RECOMPUTE = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)


class LanguageModel(nn.Module):
    """A frozen model with its processor; implements `bench.core.language_types.AnsweringModel`."""

    def __init__(
        self,
        network: nn.Module,
        family: Family,
        pixels: Pixels,
        chat: Chat,
        *,
        checkpointing: bool = False,
        extra_facts: Mapping[str, str] | None = None,
    ) -> None:
        """Combine a network with its image processor and its chat template.

        Args:
            network: A model of transformers for conditional generation.
            family: The model's family.
            pixels: Converts images to the network's inputs.
            chat: Converts prompts and answers to token ids.
            checkpointing: Whether the backward pass recomputes the activations of each block
                (gradient checkpointing). This costs another forward pass, and keeps the
                activations of one block instead of all blocks in memory.
            extra_facts: More properties of the model that results report.
        """
        super().__init__()
        self.network = network
        self.family = family
        self.pixels = pixels
        self.chat = chat
        self.checkpointing = checkpointing
        self.extra_facts = dict(extra_facts or {})
        self._counts: dict[tuple[int, int], int] = {}
        self.eval()

    @property
    def tower(self) -> nn.Module:
        """The vision tower, which takes normalised pixels."""
        return self.network.get_submodule(self.family.tower)

    @property
    def preprocessing(self) -> Normalisation:
        """The normalisation of the tower's input pixels."""
        return self.pixels.normalisation

    def with_tower(self, tower: nn.Module, /, **extra_facts: str) -> "LanguageModel":
        """Return the same model with another vision tower; all other modules are shared.

        Args:
            tower: A tower of the same class.
            extra_facts: More properties of the new model that results report.
        """
        network = clone(self.network)
        parent, _, leaf = self.family.tower.rpartition(".")
        network.get_submodule(parent)._modules[leaf] = tower
        return LanguageModel(
            network, self.family, self.pixels, self.chat, checkpointing=self.checkpointing,
            extra_facts={**self.extra_facts, **extra_facts},
        )  # fmt: skip

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        normalisation = self.preprocessing
        size = "x".join(map(str, image_size(self.tower)))
        return {
            "activation": activation(self.tower),
            "model_pixels": size if grids_of(self.tower) is None else "any",
            "precision": str(next(self.network.parameters()).dtype).removeprefix("torch."),
            "mean": " ".join(f"{value:.8g}" for value in normalisation.mean),
            "std": " ".join(f"{value:.8g}" for value in normalisation.std),
            "template": "the checkpoint's" if self.chat.shipped else "LLaVA-1.5's",
            "checkpointing": "blocks" if self.checkpointing else "none",
            **self.extra_facts,
        }

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return the visual tokens of images, `[b,t,d]` in float32: the language model's input.

        They do not include the features of earlier blocks that Qwen3-VL adds in the first layers of
        its language model (DeepStack).
        """
        inner: Any = self.network.get_submodule("model")
        with self._checkpointing():
            found = inner.get_image_features(**self.pixels(images), return_dict=True)
        tokens: list[Tensor] = list(found.pooler_output)
        return torch.stack(tokens).float()

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return the mean log-probability of each text as the answer, `[b]`, in nats, float32.

        The mean is over the text's tokens and the end token, each conditioned on the image, the
        prompt and the tokens before it (teacher forcing). It is differentiable with respect to the
        images.

        Args:
            images: `[b,3,h,w]` in [0,1].
            prompts: One question per image.
            texts: One answer per image.

        Raises:
            ValueError: A prompt or a text contains the image token.
        """
        count = self._image_tokens(images)
        pairs = [
            self.chat.exchange(prompt, text, count)
            for prompt, text in zip(prompts, texts, strict=True)
        ]
        # with a causal mask, padding on the right does not affect the tokens before it
        ids, mask = self._padded([prompt + text for prompt, text in pairs], images, left=False)
        inner: Any = self.network.get_submodule("model")
        with self._checkpointing():
            hidden = inner(**self._inputs(ids, mask, images), use_cache=False).last_hidden_state
        longest = max(len(text) for _, text in pairs)
        steps = torch.arange(longest, device=ids.device)
        starts = torch.tensor([len(prompt) for prompt, _ in pairs], device=ids.device)
        lengths = torch.tensor([len(text) for _, text in pairs], device=ids.device)
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
        """Return greedy answers, without white space at their ends.

        Args:
            images: `[b,3,h,w]` in [0,1].
            prompts: One question per image.
            tokens: Largest number of tokens of an answer.

        Raises:
            ValueError: A prompt contains the image token.
        """
        count = self._image_tokens(images)
        questions = [self.chat.question(prompt, count) for prompt in prompts]
        ids, mask = self._padded(questions, images, left=True)
        generator: Any = self.network
        with torch.no_grad():
            found = generator.generate(
                **self._inputs(ids, mask, images), max_new_tokens=tokens, use_cache=True
            )
        answers = self.chat.tokenizer.batch_decode(
            found[:, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [text.strip() for text in answers]

    def _inputs(self, ids: Tensor, mask: Tensor, images: Tensor) -> dict[str, Tensor]:
        types = {"mm_token_type_ids": (ids == self.chat.image_id).long()}
        return {
            "input_ids": ids,
            "attention_mask": mask,
            **(types if self.family.needs_token_types else {}),
            **self.pixels(images),
        }

    def _image_tokens(self, images: Tensor) -> int:
        """Return the number of visual tokens of one image of this size."""
        height, width = images.shape[-2:]
        if (height, width) not in self._counts:
            with torch.no_grad():
                tokens = self.visual_tokens(torch.zeros_like(images[:1]))
            self._counts[height, width] = tokens.shape[1]
        return self._counts[height, width]

    def _padded(
        self, rows: Sequence[Sequence[int]], images: Tensor, *, left: bool
    ) -> tuple[Tensor, Tensor]:
        """Return padded token ids and the attention mask (0 at padding), `[b,n]` each."""
        width = max(map(len, rows))
        ids, mask = [], []
        for row in rows:
            padding = [self.chat.ends[0]] * (width - len(row))
            zeros, ones = [0] * len(padding), [1] * len(row)
            ids.append([*padding, *row] if left else [*row, *padding])
            mask.append(zeros + ones if left else ones + zeros)
        return torch.tensor(ids, device=images.device), torch.tensor(mask, device=images.device)

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        """Enable gradient checkpointing of all blocks inside this context, if it was asked for.

        transformers enables it only for blocks in training mode. So the flag `training` is set on
        the blocks themselves and not on their submodules, which stay in evaluation mode.
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
