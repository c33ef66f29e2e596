"""Questions to a model behind an endpoint that speaks OpenAI's protocol."""

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from bench.core.errors import CellError
from bench.plan.judge_keys import key_fault
from bench.suite import judge_prompt
from bench.suite.specs import OpenAIJudge
from bench.tasks.judge_connection import Answer, Connection
from bench.tasks.judge_reply import read_reply

_AT_ONCE = 8
_SHORT = 16  # tokens; a digit is asked for
_LONG = 4096  # tokens of a model that thinks before it gives the digit
_EXCERPT = 400  # characters of a reply in a message


def replies(spec: OpenAIJudge, prompts: Sequence[str], trust: bool = False) -> Generator[str]:
    """Yield the replies to some prompts, in their order; several are asked at once.

    Args:
        spec: The endpoint and its model.
        prompts: What it is asked, each by itself.
        trust: Whether any environment variable may be its key.

    Raises:
        CellError: The endpoint cannot be reached, refuses, or gives a reply that cannot be read;
            or the variable of its key is not for judges.
    """
    key = _key(spec, trust)
    try:
        connection = Connection(f"{spec.url.rstrip('/')}/chat/completions", key, _AT_ONCE)
    except ConnectionError as error:
        raise CellError(f"the judge {spec.model} at {spec.url} cannot be asked: {error}") from None
    endpoint = _Endpoint(spec, key, connection)
    with closing(connection), ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(endpoint.reply, each) for each in prompts]
        try:
            for each in waiting:
                yield each.result()
        finally:
            for each in waiting:
                each.cancel()


def _key(spec: OpenAIJudge, trust: bool) -> str:
    """Return the key to an endpoint; nothing where it needs none."""
    if spec.key is None:
        return ""
    if not trust and (fault := key_fault(spec)):
        raise CellError("; ".join(fault))
    key = os.environ.get(spec.key, "").strip()
    if not key:
        raise CellError(f"protocol.judge.key: the environment variable {spec.key} is not set")
    if not (key.isascii() and key.isprintable()):
        raise CellError(
            f"protocol.judge.key: the environment variable {spec.key} holds signs that no key has"
        )
    return key


@dataclass(frozen=True, slots=True)
class _Options:
    """The parameters of a request that not all endpoints accept alike.

    Attributes:
        limit: The name of the limit of tokens.
        tokens: The limit.
        greedy: Whether temperature 0 is asked for.
    """

    limit: str = "max_tokens"
    tokens: int = _SHORT
    greedy: bool = True

    def fields(self) -> dict[str, Any]:
        return {self.limit: self.tokens, **({"temperature": 0} if self.greedy else {})}

    def accepted(self, fault: str) -> "_Options":
        """Return the options without the first that a fault of the endpoint names."""
        if self.limit == "max_tokens" and "max_completion_tokens" in fault:
            # the newer limit counts thoughts too, so a short limit would leave no digit
            return replace(self, limit="max_completion_tokens", tokens=_LONG)
        if self.greedy and "temperature" in fault:
            return replace(self, greedy=False)
        return self


class _Endpoint:
    """An endpoint and the key to it, which no message may hold."""

    def __init__(self, spec: OpenAIJudge, key: str, connection: Connection) -> None:
        self._spec, self._key, self._connection = spec, key, connection
        self._options = _Options()  # those that were accepted last, for the questions that follow

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
                changed, text = self._accepted(answer, options), ""
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

    def _accepted(self, answer: Answer, options: _Options) -> _Options:
        """Return options in place of those that the endpoint does not accept."""
        said = answer.content.decode("utf-8", "replace")
        changed = options.accepted(said) if answer.status in (400, 422) else options
        if changed == options:
            raise self._fault("cannot be asked", f"{answer.status} {answer.reason}: {said}")
        return changed

    def _read(self, answer: Answer, options: _Options) -> tuple[_Options, str]:
        """Return the text of an answer, or options with more tokens where it was cut too early."""
        try:
            reply = read_reply(answer.content)
        except ValueError as error:
            said = answer.content.decode("utf-8", "replace")
            # the cause would be shown with what it failed at
            raise self._fault(f"replies in another form than OpenAI's ({error})", said) from None
        if reply.cut and not judge_prompt.has_digit(reply.text):
            if options.tokens < _LONG:
                return replace(options, tokens=_LONG), ""
            raise self._fault(f"gave no digit within {_LONG} tokens", reply.raw)
        if not reply.text:
            raise self._fault("gave a reply without a text", reply.raw)
        return options, self._hidden(reply.text)

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _fault(self, what: str, said: str) -> CellError:
        where = f"the judge {self._spec.model} at {self._spec.url}"
        return CellError(f"{where} {what}: {self._hidden(said)[:_EXCERPT]}")
