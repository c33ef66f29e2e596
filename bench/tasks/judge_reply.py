"""Read the text of a chat completion in OpenAI's format."""

import json
from dataclasses import dataclass
from typing import Any

from bench.core.language_types import replace_surrogates

REFUSED = "refused"  # replaces the text of a refusal, which has no verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a judge.

    Attributes:
        text: The reply without the model's thoughts; empty if there is no text.
        cut: Whether the reply was cut at the token limit.
        raw: The choice that the text is from, as JSON.
    """

    text: str
    cut: bool
    raw: str


def read_reply(content: bytes) -> Reply:
    """Read the first choice of a response body.

    Its content is a text or a list of parts; parts without text are ignored. Thoughts are removed,
    whether they are in a separate field or part, or before `</think>`.

    Raises:
        ValueError: The body is not in OpenAI's format; the message is the type of the error.
    """
    try:
        choice: Any = json.loads(content)["choices"][0]
        message, end = choice["message"], choice.get("finish_reason")
        text = _without_thoughts(_text(message.get("content"))).strip()
        refused = bool(message.get("refusal")) or end == "content_filter"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(type(error).__name__) from None
    return Reply(
        replace_surrogates(text) or (REFUSED if refused else ""),
        cut=end == "length",
        raw=json.dumps(choice, ensure_ascii=True),
    )


def _text(content: Any) -> str:
    """Return the text of a message's content; empty if it has no text."""
    if isinstance(content, list):
        return "".join(map(_part_text, content))
    return content if isinstance(content, str) else ""


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    is_text = isinstance(part, dict) and part.get("type", "text") in ("text", "output_text")
    return _text(part.get("text")) if is_text else ""


def _without_thoughts(text: str) -> str:
    """Return the text after the thoughts; empty if the thoughts do not end."""
    before, mark, after = text.rpartition("</think>")
    return after if mark or not after.lstrip().startswith("<think>") else before
