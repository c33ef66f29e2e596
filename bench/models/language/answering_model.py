"""A vision-language model of transformers that answers in words."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.core.deadline import Check, unlimited
from bench.core.errors import CellError
from bench.models.language.chat import OF_THE_PROMPT, Chat, Size
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
        pixels: Pixels,
        chat: Chat,
        *,
        checkpointing: bool = False,
        extra_facts: Mapping[str, str] | None = None,
        check: Check = unlimited,
    ) -> None:
        """Combine a network with its image processor and its chat template.

        Args:
            network: A model of transformers for conditional generation.
            pixels: Converts images to the network's inputs.
            chat: Converts prompts and answers to token ids.
            checkpointing: Whether the backward pass recomputes the activations of each block
                (gradient checkpointing). This costs another forward pass, and keeps the
                activations of one block instead of all blocks in memory.
            extra_facts: More properties of the model that results report.
            check: Checks the time limit before each token of an answer.
        """
        super().__init__()
        self.network = network
        self.pixels = pixels
        self.chat = chat
        self.checkpointing = checkpointing
        self.extra_facts = dict(extra_facts or {})
        self._check = check
        self._accepted = inspect.signature(network.forward).parameters
        self.eval()

    @property
    def tower(self) -> nn.Module:
        """The vision tower, which takes normalised pixels.

        Raises:
            CellError: The model has no separate vision tower.
        """
        if not (path := self._tower_path()):
            raise CellError(f"{type(self.network).__name__} has no separate vision tower")
        return self.network.get_submodule(path)

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
        parent, _, leaf = self._tower_path().rpartition(".")
        network.get_submodule(parent)._modules[leaf] = tower
        return LanguageModel(
            network, self.pixels, self.chat, checkpointing=self.checkpointing,
            extra_facts={**self.extra_facts, **extra_facts}, check=self._check,
        )  # fmt: skip

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        normalisation, path = self.preprocessing, self._tower_path()
        tower = self.network.get_submodule(path)
        return {
            "activation": activation(tower),
            "model_pixels": _input_size(tower) if path else "any",
            "precision": str(next(self.network.parameters()).dtype).removeprefix("torch."),
            "mean": " ".join(f"{value:.8g}" for value in normalisation.mean),
            "std": " ".join(f"{value:.8g}" for value in normalisation.std),
            "template": self.chat.template,
            "checkpointing": "blocks" if self.checkpointing else "none",
            **self.extra_facts,
        }

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return the visual tokens of images, `[b,t,d]` in float32: the language model's input.

        They do not include the features of earlier blocks that Qwen3-VL adds in the first layers of
        its language model (DeepStack). Llama 3.2 Vision reads the image by cross-attention; its
        visual tokens are the outputs of its tower. InstructBLIP's depend on the prompt; here it is
        that of a blank question.
        """
        network: Any = self.network
        given = {**self.pixels(images), **self._of_a_blank_prompt(images)}
        with self._checkpointing():
            if hasattr(network, "get_image_features"):
                tokens = network.get_image_features(**given, return_dict=True).pooler_output
            else:
                tokens = self.tower(**given).last_hidden_state
        if not isinstance(tokens, Tensor):
            tokens = torch.stack(list(tokens))
        return tokens.reshape(len(images), -1, tokens.shape[-1]).float()

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
        size = _size(images)
        answers = [
            self.chat.exchange(prompt, text, size)[1]
            for prompt, text in zip(prompts, texts, strict=True)
        ]
        lengths = torch.tensor([len(answer) for answer in answers], device=images.device)
        return self.token_likelihoods(images, prompts, answers).sum(dim=1) / lengths

    def token_likelihoods(
        self, images: Tensor, prompts: Sequence[str], answers: Sequence[Sequence[int]]
    ) -> Tensor:
        """Return the log-probability of each token of the answers, `[b,n]`, 0 after an answer.

        Args:
            images: `[b,3,h,w]` in [0,1].
            prompts: One question per image.
            answers: Token ids of one answer per image.
        """
        size, device = _size(images), images.device
        rows = [
            self.chat.inputs(prompt, size, answer)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        ends = torch.tensor([len(row["input_ids"]) for row in rows], device=device)
        lengths = torch.tensor([len(answer) for answer in answers], device=device)
        starts = ends - lengths
        # with a causal mask, padding on the right does not affect the tokens before it
        inputs = self.inputs(rows, images, left=False)
        ids = inputs["input_ids"]
        logits = self._logits(inputs, ids.shape[1] - int(starts.min()) + 1)
        inside = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
        places = torch.where(inside, starts[:, None] + inside.cumsum(dim=1) - 1, starts[:, None])
        each = torch.arange(len(ids), device=device)[:, None]
        before = logits[each, places - 1 - ids.shape[1]].float()  # counted from the end
        wanted = ids[each, places][..., None]
        found = before.log_softmax(dim=-1).gather(-1, wanted).squeeze(-1)
        return torch.where(inside, found, 0.0)

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return greedy answers, without white space at their ends.

        Args:
            images: `[b,3,h,w]` in [0,1].
            prompts: One question per image.
            tokens: Largest number of tokens of an answer.

        Raises:
            ValueError: A prompt contains the image token.
        """
        rows = [self.chat.inputs(prompt, _size(images)) for prompt in prompts]
        inputs = self.inputs(rows, images, left=True)
        generator: Any = self.network
        with torch.no_grad():
            found = generator.generate(
                **inputs, max_new_tokens=tokens, use_cache=True, stopping_criteria=[self._stops]
            )
        answers = self.chat.tokenizer.batch_decode(
            found[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )  # fmt: skip
        return [text.strip() for text in answers]

    def _stops(self, ids: Tensor, scores: Any) -> Tensor:
        """Stop no answer before its end, except by an error when the time is up."""
        self._check()
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    def inputs(
        self, rows: Sequence[Mapping[str, Tensor]], images: Tensor, *, left: bool
    ) -> dict[str, Tensor]:
        """Return the inputs of the network for one text per image.

        Args:
            rows: Inputs that depend on the texts, from `Chat.inputs`.
            images: `[b,3,h,w]` in [0,1].
            left: Whether texts are padded on the left, or on the right.
        """
        text = {}
        for name in rows[0]:
            length = max(len(row[name]) for row in rows)
            padded = [self.chat.padded(name, row[name], length, left=left) for row in rows]
            text[name] = torch.stack(padded).to(images.device)
        return {**text, **self.pixels(images)}

    def _logits(self, inputs: Mapping[str, Tensor], last: int) -> Tensor:
        """Return logits `[b,n,v]` of at least the last tokens of a padded batch."""
        network: Any = self.network
        few = {"logits_to_keep": last} if "logits_to_keep" in self._accepted else {}
        with self._checkpointing():
            found: Tensor = network(**inputs, use_cache=False, **few).logits
        return found

    def _of_a_blank_prompt(self, images: Tensor) -> dict[str, Tensor]:
        """Return what a reader of the prompt beside the language model gets, if there is one."""
        given = self.chat.inputs("", _size(images))
        return {
            name: value.expand(len(images), *value.shape).to(images.device)
            for name, value in given.items()
            if name.startswith(OF_THE_PROMPT)
        }

    def _tower_path(self) -> str:
        """Return the module path of the vision tower; empty if there is no separate tower."""
        network: Any = self.network
        tower = network.get_encoder(modality="image")
        return next((name for name, each in self.network.named_modules() if each is tower), "")

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


def _size(images: Tensor) -> Size:
    return images.shape[-2], images.shape[-1]


def _input_size(tower: nn.Module) -> str:
    """Return a tower's input size in pixels, or `any`."""
    try:
        size = image_size(tower)
    except TypeError:
        return "any"
    return "any" if grids_of(tower) is not None else "x".join(map(str, size))
