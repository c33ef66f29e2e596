"""A judge that is a model behind an endpoint with OpenAI's chat completions API."""

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from bench.core.deadline import Check, unlimited
from bench.core.errors import CellError
from bench.plan.judge_keys import key_fault
from bench.suite import judge_prompt
from bench.suite.specs import OpenAIJudge
from bench.tasks.judge_connection import Answer, Connection
from bench.tasks.judge_reply import read_reply

_THREADS = 8
_TOKENS = 16  # limit of a reply; the prompt asks for a digit
_TOKENS_WITH_THOUGHTS = 4096  # limit for a model that thinks before it gives the digit
_EXCERPT = 400  # characters of a reply in a message


def replies(
    spec: OpenAIJudge, prompts: Sequence[str], trust: bool = False, check: Check = unlimited
) -> Generator[str]:
    """Yield the replies to prompts, in order; up to 8 requests run at once.

    Args:
        spec: The endpoint and its model.
        prompts: The prompts; each is a request of its own.
        trust: Whether any environment variable may hold the key.
        check: Checks the time limit before each request, also before a repeated one.

    Raises:
        CellError: The endpoint cannot be reached, refuses, or sends an unreadable reply; or the
            suite may not use the environment variable of the key.
    """
    key = _key(spec, trust)
    try:
        connection = Connection(f"{spec.url.rstrip('/')}/chat/completions", key, _THREADS, check)
    except ConnectionError as error:
        raise CellError(f"the judge {spec.model} at {spec.url} cannot be asked: {error}") from None
    endpoint = _Endpoint(spec, key, connection)
    with closing(connection), ThreadPoolExecutor(_THREADS) as pool:
        waiting = [pool.submit(endpoint.reply, item) for item in prompts]
        try:
            for item in waiting:
                yield item.result()
        finally:
            for item in waiting:
                item.cancel()


def _key(spec: OpenAIJudge, trust: bool) -> str:
    """Return the key of an endpoint; empty if it needs no key."""
    if spec.key is None:
        return ""
    if not trust and (fault := key_fault(spec)):
        raise CellError(f"protocol.judge.key: {'; '.join(fault)}")
    key = os.environ.get(spec.key, "").strip()
    if not key:
        raise CellError(f"protocol.judge.key: the environment variable {spec.key} is not set")
    if not (key.isascii() and key.isprintable()):
        raise CellError(
            f"protocol.judge.key: the environment variable {spec.key} has characters that are not "
            "allowed in a key; allowed: printable ASCII"
        )
    return key


@dataclass(frozen=True, slots=True)
class _Options:
    """The parameters of a request that differ between endpoints.

    Attributes:
        limit: Name of the parameter for the token limit.
        tokens: Token limit.
        greedy: Whether to send temperature 0.
    """

    limit: str = "max_tokens"
    tokens: int = _TOKENS
    greedy: bool = True

    def fields(self) -> dict[str, Any]:
        return {self.limit: self.tokens, **({"temperature": 0} if self.greedy else {})}

    def without_rejected(self, fault: str) -> "_Options":
        """Return the options without the first parameter that an error message names."""
        if self.limit == "max_tokens" and "max_completion_tokens" in fault:
            # this limit includes thoughts, so a low limit could cut the reply before the digit
            return replace(self, limit="max_completion_tokens", tokens=_TOKENS_WITH_THOUGHTS)
        if self.greedy and "temperature" in fault:
            return replace(self, greedy=False)
        return self


class _Endpoint:
    """An endpoint and its key; messages must not contain the key."""

    def __init__(self, spec: OpenAIJudge, key: str, connection: Connection) -> None:
        self._spec, self._key, self._connection = spec, key, connection
        self._options = _Options()  # accepted by the endpoint last; used for the next requests

    def reply(self, prompt: str) -> str:
        """Return the reply to a prompt.

        Raises:
            CellError: The endpoint cannot be asked, or its reply cannot be read.
        """
        options = self._options
        while True:
            answer = self._ask(prompt, options)
            if 200 <= answer.status < 300:
                changed, text = self._read(answer, options)
            else:
                changed, text = self._next_options(answer, options), ""
            if changed == options:
                self._options = options
                return text
            options = changed

    def _ask(self, prompt: str, options: _Options) -> Answer:
        messages = [{"role": "user", "content": prompt}]
        body = {"model": self._spec.model, "messages": messages, **options.fields()}
        try:
            return self._connection.post(body)
        except ConnectionError as error:
            raise self._fault("cannot be asked", str(error)) from None

    def _next_options(self, answer: Answer, options: _Options) -> _Options:
        """Return other options after the endpoint rejected the given ones."""
        content = answer.content.decode("utf-8", "replace")
        changed = options.without_rejected(content) if answer.status in (400, 422) else options
        if changed == options:
            raise self._fault("cannot be asked", f"{answer.status} {answer.reason}: {content}")
        return changed

    def _read(self, answer: Answer, options: _Options) -> tuple[_Options, str]:
        """Return the options and the text; options with more tokens if the digit was cut off."""
        try:
            reply = read_reply(answer.content)
        except ValueError as error:
            content = answer.content.decode("utf-8", "replace")
            # no cause: its message would show the content, which may contain the key
            raise self._fault(
                f"replies in another format than OpenAI's ({error})", content
            ) from None
        if reply.cut and not judge_prompt.has_digit(reply.text):
            if options.tokens < _TOKENS_WITH_THOUGHTS:
                return replace(options, tokens=_TOKENS_WITH_THOUGHTS), ""
            raise self._fault(f"gave no digit within {_TOKENS_WITH_THOUGHTS} tokens", reply.raw)
        if not reply.text:
            raise self._fault("gave a reply without a text", reply.raw)
        return options, self._without_key(reply.text)

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _fault(self, what: str, content: str) -> CellError:
        where = f"the judge {self._spec.model} at {self._spec.url}"
        return CellError(f"{where} {what}: {self._without_key(content)[:_EXCERPT]}")
