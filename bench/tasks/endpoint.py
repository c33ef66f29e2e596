"""Questions to a model behind an endpoint that speaks OpenAI's protocol."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from bench.errors import CellError
from bench.specs import OpenAIJudge

_AT_ONCE = 8
_TRIES = 6
_PATIENCE = 60.0  # seconds until a try counts as failed
_BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
_TOKENS = 16  # a digit is asked for


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: the key is for the host that the suite names."""

    def redirect_request(self, *_: Any) -> None:
        """See above."""


_OPENER = urllib.request.build_opener(_Stay)


def replies(spec: OpenAIJudge, prompts: Sequence[str]) -> Generator[str]:
    """Yield the replies to some prompts, in their order; several are asked at once.

    What fails for want of a connection or because the endpoint is busy is tried again, each time
    after twice the pause.

    Args:
        spec: The endpoint and its model.
        prompts: What it is asked, each by itself.

    Raises:
        CellError: It cannot be reached, refuses, or replies in another form.
    """
    headers = {"Content-Type": "application/json", **_authorisation(spec)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(_reply, spec, headers, each) for each in prompts]
        try:
            for each in waiting:
                yield each.result()
        finally:
            for each in waiting:
                each.cancel()


def _authorisation(spec: OpenAIJudge) -> dict[str, str]:
    if spec.key is None:
        return {}
    if not os.environ.get(spec.key):
        raise CellError(f"protocol.judge.key: the environment variable {spec.key} is not set")
    return {"Authorization": f"Bearer {os.environ[spec.key]}"}


def _reply(spec: OpenAIJudge, headers: dict[str, str], prompt: str) -> str:
    body = {
        "model": spec.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": _TOKENS,
    }
    request = urllib.request.Request(
        f"{spec.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
    )
    reason = ""
    for number in range(_TRIES):
        if number:
            time.sleep(2.0 ** (number - 1))
        try:
            with _OPENER.open(request, timeout=_PATIENCE) as response:
                return _said(spec, response.read())
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{error.code} {error.reason}: {_excerpt(error)}"
            if error.code not in _BUSY:
                break
        except (OSError, HTTPException) as error:
            reason = str(error)
    raise CellError(f"the judge {spec.model} at {spec.url} cannot be asked: {reason}")


def _excerpt(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(300).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""


def _said(spec: OpenAIJudge, content: bytes) -> str:
    try:
        reply: Any = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CellError(
            f"the judge {spec.model} at {spec.url} replies in another form than OpenAI's: "
            f"{content[:200]!r}"
        ) from error
    return reply if isinstance(reply, str) else ""
