"""The text in a reply of an endpoint that speaks OpenAI's protocol."""

import json
from dataclasses import dataclass
from typing import Any

from bench.core.language_types import replace_surrogates

REFUSED = "refused"  # stands for a refusal, whatever its words: they hold no verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge said.

    Attributes:
        text: The reply without what the model thought aloud; empty where there is no text.
        cut: Whether the reply ended at the limit of its tokens.
        raw: The part of the answer that the text was read from, as JSON.
    """

    text: str
    cut: bool
    raw: str


def read_reply(content: bytes) -> Reply:
    """Read the first choice of an answer.

    Its content is a text or a list of parts, of which those with a text count. Thoughts count as
    no text, whether they stand in a field or part of their own or before `</think>`.

    Raises:
        ValueError: The answer has another form than OpenAI's; names the kind of fault.
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
    """Return the text of a message's content; empty where it has none."""
    if isinstance(content, list):
        return "".join(map(_part_text, content))
    return content if isinstance(content, str) else ""


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    shown = isinstance(part, dict) and part.get("type", "text") in ("text", "output_text")
    return _text(part.get("text")) if shown else ""


def _without_thoughts(text: str) -> str:
    """Return what follows the thoughts; nothing where a thought never ends."""
    thoughts, ended, rest = text.rpartition("</think>")
    return rest if ended or not rest.lstrip().startswith("<think>") else thoughts
