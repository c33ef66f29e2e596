"""Questions and answers as token ids, formatted with a model's chat template."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from bench.catalogue.language_families import Family

_PROBE = "Quokka"  # a text that occurs in no template; its place shows where answers go
_BLANK = "Which?"
OF_THE_PROMPT = "qformer_"  # inputs of a reader of the prompt, which does not read the answer
_LABELS = "labels"  # PaliGemma's, for training
_CACHED = 4096  # questions and answers

Size = tuple[int, int]


class Chat:
    """Formats questions and answers with a chat template and converts them to token ids.

    The checkpoint's own processor makes the ids from the text and a blank image, since it decides
    which tokens stand for an image of that size. An answer is tokenized together with the prompt
    before it. Text between prompt and answer in the template, such as the space in
    `ASSISTANT: a cat`, belongs to the answer: a model that was trained on whole chats generates it
    as part of the first token. The prompt's tokens are always those of the prompt alone, because
    generation starts from them.

    Attributes:
        tokenizer: The processor's tokenizer.
        template: Where the chat template is from, for results.
        text_inputs: Names of the model's inputs that depend on the text, not on the image.
        end: Token id that ends an answer.
        ends: All token ids at which generation stops, sorted.
    """

    def __init__(self, processor: Any, ends: Iterable[int], family: Family) -> None:
        """Read a processor's template and tokenizer.

        Args:
            processor: A processor of transformers.
            ends: Token ids at which generation stops, in addition to the tokenizer's own.
            family: The model's family.

        Raises:
            ValueError: There is no chat template, or no token that ends an answer.
        """
        self.tokenizer = processor.tokenizer
        self._processor = processor
        self._marks = _image_tokens(processor)
        self._own = {} if processor.chat_template else {"chat_template": family.template}
        if self._own == {"chat_template": None}:
            raise ValueError("the checkpoint has no chat template; add chat_template.jinja")
        self.template = family.template_name if self._own else "the checkpoint's"
        self._answer_type = family.answer_type
        self.text_inputs = self._text_inputs()
        self._encoded = lru_cache(_CACHED)(self._encode)
        formatted, whole = self._render(_BLANK, None), self._render(_BLANK, _PROBE)
        between, found, after = whole.removeprefix(formatted).partition(_PROBE)
        regular = whole.startswith(formatted) and bool(found)
        self._separator = between if regular else ""
        closing = self.tokens(after) if regular else []
        known = {*ends, self.tokenizer.eos_token_id} - {None}
        if not known:
            raise ValueError(
                "the checkpoint has no end token; set `eos_token` in the tokenizer's configuration "
                "or `eos_token_id` in generation_config.json"
            )
        default = self.tokenizer.eos_token_id
        self.end = next(
            (token for token in closing if token in known),
            min(known) if default is None else default,
        )
        self.ends = sorted(known)

    def blank(self) -> str:
        """Return a formatted prompt about an image."""
        return self._render(_BLANK, None)

    def question(self, prompt: str, size: Size) -> list[int]:
        """Return the token ids of a prompt about an image.

        Args:
            prompt: The question, without the chat template.
            size: Height and width of the image in pixels.

        Raises:
            ValueError: The prompt contains the image token.
        """
        ids: list[int] = self.inputs(prompt, size)["input_ids"].tolist()
        return ids

    def exchange(self, prompt: str, text: str, size: Size) -> tuple[list[int], list[int]]:
        """Return the token ids of a prompt, and those of an answer including its end token.

        Args:
            prompt: The question, without the chat template.
            text: The answer.
            size: Height and width of the image in pixels.

        Raises:
            ValueError: The prompt or the answer contains the image token.
        """
        self._refuse_image_token(text)
        before = self.question(prompt, size)
        written = self._render(prompt, None) + self._separator + text
        whole = self._encoded(written, size)["input_ids"].tolist()
        if whole[: len(before)] != before:  # the tokenizer merged tokens across the boundary
            separate = self.tokens(self._separator + text)
            return before, [*separate, self.end]
        return before, [*whole[len(before) :], self.end]

    def inputs(self, prompt: str, size: Size, answer: Iterable[int] = ()) -> Mapping[str, Tensor]:
        """Return the inputs of a model for one text, each `[n]` or `[n,...]` for its `n` tokens.

        Args:
            prompt: The question, without the chat template.
            size: Height and width of the image in pixels.
            answer: Token ids that follow the prompt.

        Raises:
            ValueError: The prompt contains the image token.
        """
        self._refuse_image_token(prompt)
        found = self._encoded(self._render(prompt, None), size)
        ids = torch.tensor(list(answer), dtype=torch.long)
        return {name: self._extended(name, value, ids) for name, value in found.items()}

    def padded(self, name: str, value: Tensor, length: int, *, left: bool) -> Tensor:
        """Return one text's input of this name with padding, `[length,...]`."""
        missing = value.new_zeros(length - len(value), *value.shape[1:])
        if name == "input_ids":
            missing += self.ends[0]
        left = left and not name.startswith(OF_THE_PROMPT)
        return torch.cat([missing, value] if left else [value, missing])

    def tokens(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _extended(self, name: str, value: Tensor, ids: Tensor) -> Tensor:
        if name.startswith(OF_THE_PROMPT) or not len(ids):
            return value
        if name == "input_ids":
            return torch.cat([value, ids])
        if value.ndim > 1:  # what each token attends to: an answer's what the prompt's last does
            return torch.cat([value, value[-1:].expand(len(ids), *value.shape[1:])])
        types = {"attention_mask": 1, "token_type_ids": self._answer_type}
        return torch.cat([value, torch.full_like(ids, types.get(name, 0))])

    def _encode(self, text: str, size: Size) -> dict[str, Tensor]:
        start = self.tokenizer.bos_token
        image = torch.zeros(3, *size, dtype=torch.uint8)
        special = not (start and text.startswith(start))
        found = processed(self._processor, [text], [image], add_special_tokens=special)
        return {
            name: value[0]
            for name, value in found.items()
            if name in self.text_inputs and name != _LABELS
        }

    def _text_inputs(self) -> frozenset[str]:
        image = torch.zeros(3, 32, 32, dtype=torch.uint8)
        short, long = (
            processed(self._processor, [self._render(prompt, None)], [image])
            for prompt in (_BLANK, f"{_BLANK} {_PROBE}")
        )
        tensors = (name for name, value in short.items() if isinstance(value, Tensor))
        return frozenset(name for name in tensors if not torch.equal(short[name], long[name]))

    def _refuse_image_token(self, text: str) -> None:
        for mark in self._marks:
            if mark in text:
                raise ValueError(
                    f"prompts and answers must not contain the image token {mark!r}; remove it"
                )

    def _render(self, prompt: str, answer: str | None) -> str:
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        messages = [{"role": "user", "content": content}]
        if answer is not None:
            reply = [{"type": "text", "text": answer}]
            messages.append({"role": "assistant", "content": reply})
        return str(
            self._processor.apply_chat_template(
                messages, add_generation_prompt=answer is None, **self._own
            )
        )


def processed(
    processor: Any, texts: Sequence[str], images: Sequence[Tensor], **options: bool
) -> Mapping[str, Tensor]:
    """Return what a processor of transformers makes of texts with one image each.

    Args:
        processor: The processor.
        texts: Formatted texts with as many tokens each.
        images: Images `[3,h,w]` of one size with values in [0,255].
        options: More arguments of the processor.
    """
    with warnings.catch_warnings():  # transformers passes a tensor to numpy 2 for PaliGemma
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        found: Mapping[str, Tensor] = processor(
            text=list(texts), images=[[image] for image in images], return_tensors="pt", **options
        )
    return found


def _image_tokens(processor: Any) -> tuple[str, ...]:
    """Return the tokens that stand for an image, in texts and in the model's input."""
    written = getattr(processor, "image_token", None)
    ids = [each for each in processor.image_token_ids if each is not None]
    tokens: list[str] = processor.tokenizer.convert_ids_to_tokens(ids)
    return tuple(dict.fromkeys([*([str(written)] if written else []), *tokens]))
