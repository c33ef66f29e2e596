"""Questions and answers as tokens, in the form of a model's own chat."""

from collections.abc import Iterable
from typing import Any

# of LLaVA-1.5, in the words of its paper's code; for a checkpoint that ships no template
_LLAVA_TEMPLATE = (
    "{% for message in messages %}"
    "{{ 'USER: ' if message['role'] == 'user' else 'ASSISTANT: ' }}"
    "{% for part in message['content'] %}"
    "{{ '<image>\n' if part['type'] == 'image' else part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{{ 'ASSISTANT:' if add_generation_prompt else '' }}"
)
_PROBE = "Quokka"  # an answer that no template has in it


class Chat:
    """Writes exchanges as token ids.

    An answer's tokens are those that the tokenizer makes of it in place, after the prompt: what
    lies between the two in the template, such as the blank of `ASSISTANT: a cat`, is the answer's,
    for a model that was trained on whole chats generates it as part of the first token. The tokens
    of the prompt are always those of the prompt alone, since that is what generation continues.
    """

    def __init__(self, processor: Any, ends: Iterable[int]) -> None:
        """Read a processor's template and tokenizer.

        Args:
            processor: Of transformers.
            ends: Tokens at which generation stops, beside the tokenizer's own.

        Raises:
            ValueError: No token is known to end an answer.
        """
        self.tokenizer = processor.tokenizer
        self.image = str(processor.image_token)
        self.image_id = int(processor.image_token_id)
        self._processor = processor
        self.shipped = processor.chat_template is not None
        asked, whole = self._render("Which?", None), self._render("Which?", _PROBE)
        between, found, after = whole.removeprefix(asked).partition(_PROBE)
        regular = whole.startswith(asked) and bool(found)
        self._separator = between if regular else ""
        closing = self.tokens(after) if regular else []
        known = {*ends, self.tokenizer.eos_token_id} - {None}
        if not known:
            raise ValueError("neither the tokenizer nor generation_config.json has an end token")
        usual = self.tokenizer.eos_token_id
        self.end = next(
            (token for token in closing if token in known), min(known) if usual is None else usual
        )
        self.ends = sorted(known)

    def question(self, prompt: str, images: int) -> list[int]:
        """Return the tokens of a prompt about an image that takes so many tokens.

        Raises:
            ValueError: The prompt itself has the image's token.
        """
        return self._tokenize(self._render(prompt, None), images)

    def exchange(self, prompt: str, text: str, images: int) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt, and those of an answer with the one that ends it.

        Raises:
            ValueError: The prompt or the answer has the image's token.
        """
        asked = self._render(prompt, None)
        before = self._tokenize(asked, images)
        whole = self._tokenize(asked + self._separator + text, images)
        if whole[: len(before)] != before:  # the tokenizer joins them, which generation cannot
            own = self.tokens(self._separator + text)
            return before, [*own, self.end]
        return before, [*whole[len(before) :], self.end]

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text as it stands."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _tokenize(self, text: str, images: int) -> list[int]:
        text = text.replace(self.image, self.image * images)
        start = self.tokenizer.bos_token
        special = not (start and text.startswith(start))
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        if ids.count(self.image_id) != images:
            raise ValueError(f"a text has the token of the image, {self.image!r}, which cannot be")
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
