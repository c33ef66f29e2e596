"""Questions and answers as token ids, formatted with a model's chat template."""

from collections.abc import Iterable
from typing import Any

# The conversation format of LLaVA-1.5's code, for checkpoints without a chat template.
_LLAVA_TEMPLATE = (
    "{% for message in messages %}"
    "{{ 'USER: ' if message['role'] == 'user' else 'ASSISTANT: ' }}"
    "{% for part in message['content'] %}"
    "{{ '<image>\n' if part['type'] == 'image' else part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{{ 'ASSISTANT:' if add_generation_prompt else '' }}"
)
_PROBE = "Quokka"  # a text that occurs in no template; its place shows where answers go


class Chat:
    """Formats questions and answers with a chat template and converts them to token ids.

    An answer is tokenized together with the prompt before it. Text between prompt and answer in
    the template, such as the space in `ASSISTANT: a cat`, belongs to the answer: a model that was
    trained on whole chats generates it as part of the first token. The prompt's tokens are always
    those of the prompt alone, because generation starts from them.

    Attributes:
        tokenizer: The processor's tokenizer.
        image: Placeholder of the image in a text.
        image_id: Token id of the placeholder.
        shipped: Whether the checkpoint has its own chat template.
        end: Token id that ends an answer.
        ends: All token ids at which generation stops, sorted.
    """

    def __init__(self, processor: Any, ends: Iterable[int]) -> None:
        """Read a processor's template and tokenizer.

        Args:
            processor: A processor of transformers.
            ends: Token ids at which generation stops, in addition to the tokenizer's own.

        Raises:
            ValueError: There is no token that ends an answer.
        """
        self.tokenizer = processor.tokenizer
        self.image = str(processor.image_token)
        self.image_id = int(processor.image_token_id)
        self._processor = processor
        self.shipped = processor.chat_template is not None
        formatted, whole = self._render("Which?", None), self._render("Which?", _PROBE)
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

    def question(self, prompt: str, images: int) -> list[int]:
        """Return the token ids of a prompt about an image.

        Args:
            prompt: The question, without the chat template.
            images: Number of tokens of the image.

        Raises:
            ValueError: The prompt contains the image token.
        """
        return self._tokenize(self._render(prompt, None), images)

    def exchange(self, prompt: str, text: str, images: int) -> tuple[list[int], list[int]]:
        """Return the token ids of a prompt, and those of an answer including its end token.

        Args:
            prompt: The question, without the chat template.
            text: The answer.
            images: Number of tokens of the image.

        Raises:
            ValueError: The prompt or the answer contains the image token.
        """
        formatted = self._render(prompt, None)
        before = self._tokenize(formatted, images)
        whole = self._tokenize(formatted + self._separator + text, images)
        if whole[: len(before)] != before:  # the tokenizer merged tokens across the boundary
            separate = self.tokens(self._separator + text)
            return before, [*separate, self.end]
        return before, [*whole[len(before) :], self.end]

    def tokens(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _tokenize(self, text: str, images: int) -> list[int]:
        text = text.replace(self.image, self.image * images)
        start = self.tokenizer.bos_token
        special = not (start and text.startswith(start))
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        if ids.count(self.image_id) != images:
            raise ValueError(
                f"prompts and answers must not contain the image token {self.image!r}; remove it"
            )
        return ids

    def _render(self, prompt: str, answer: str | None) -> str:
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        messages = [{"role": "user", "content": content}]
        if answer is not None:
            reply = [{"type": "text", "text": answer}]
            messages.append({"role": "assistant", "content": reply})
        template = {} if self.shipped else {"chat_template": _LLAVA_TEMPLATE}
        return str(
            self._processor.apply_chat_template(
                messages, add_generation_prompt=answer is None, **template
            )
        )
