"""Questions to a model behind an endpoint that speaks OpenAI's protocol."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from bench.core.errors import CellError
from bench.plan.judge_keys import key_fault
from bench.suite.specs import OpenAIJudge

_AT_ONCE = 8
_TRIES = 6
_PATIENCE = 60.0  # seconds until a try counts as failed, and the longest pause
_BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
_TOKENS = 16  # a digit is asked for
_LONGEST = 2**20  # bytes of a reply
_EXCERPT = 200  # characters of it in a message


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: the key is for the host that the suite names."""

    def redirect_request(self, *_: Any) -> None:
        """See above."""


_OPENER = urllib.request.build_opener(_Stay)


def replies(spec: OpenAIJudge, prompts: Sequence[str], trust: bool = False) -> Generator[str]:
    """Yield the replies to some prompts, in their order; several are asked at once.

    What fails for want of a connection or because the endpoint is busy is tried again, each time
    after twice the pause, or after as many seconds as it asks for.

    Args:
        spec: The endpoint and its model.
        prompts: What it is asked, each by itself.
        trust: Whether any environment variable may be its key.

    Raises:
        CellError: It cannot be reached, refuses, or replies in another form; or the variable of
            its key is not for judges.
    """
    line = _Line(spec, _key(spec, trust))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(line.reply, each) for each in prompts]
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
class _Line:
    """An endpoint, and the key to it, which no message may hold."""

    spec: OpenAIJudge
    key: str

    def reply(self, prompt: str) -> str:
        reason = ""
        pause = 0.0
        for number in range(_TRIES):
            if number:
                time.sleep(max(2.0 ** (number - 1), pause))
            pause = 0.0
            try:
                with _OPENER.open(self._request(prompt), timeout=_PATIENCE) as response:
                    content = response.read(_LONGEST)
            except urllib.error.HTTPError as error:
                with error:
                    reason = f"{error.code} {error.reason}: {_content(error)}"
                if error.code not in _BUSY:
                    break
                pause = _asked_for(error)
            except (OSError, HTTPException) as error:
                reason = str(error)
            else:
                return self._said(content)
        raise self._fault(f"cannot be asked: {self._hidden(reason)[: 2 * _EXCERPT]}")

    def _request(self, prompt: str) -> urllib.request.Request:
        body = {
            "model": self.spec.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": _TOKENS,
        }
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = f"{self.spec.url.rstrip('/')}/chat/completions"
        return urllib.request.Request(url, json.dumps(body).encode(), headers)

    def _said(self, content: bytes) -> str:
        """Return the text of a reply; a refusal has none."""
        try:
            reply: Any = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            said = self._hidden(content.decode("utf-8", "replace"))[:_EXCERPT]
            # the cause would be shown with what it failed at
            raise self._fault(
                f"replies in another form than OpenAI's ({type(error).__name__}): {said!r}"
            ) from None
        return self._hidden(reply) if isinstance(reply, str) else ""

    def _hidden(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text

    def _fault(self, what: str) -> CellError:
        return CellError(f"the judge {self.spec.model} at {self.spec.url} {what}")


def _content(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(_LONGEST).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""


def _asked_for(error: urllib.error.HTTPError) -> float:
    """Return the seconds that a busy endpoint asks to wait; a date that it may give is ignored."""
    said = error.headers.get("Retry-After", "").strip()
    return min(float(said), _PATIENCE) if said.isdecimal() and said.isascii() else 0.0
