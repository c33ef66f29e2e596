"""The HTTP connection to a judge's endpoint: retries, proxies, limits, and no redirects.

urllib3 counts retries, computes pauses and reads `Retry-After`. The loop over attempts is here
because urllib3 reads the whole body before it retries, whatever its length, and does not retry if
the connection breaks within a body.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader

from bench.core.deadline import Check

_RETRY_STATUSES = (408, 409, 425, 429, 500, 502, 503, 504)
_RETRIES = 5
_TIMEOUT = 60  # seconds; timeout of an attempt, and the longest pause between attempts
_MAX_BYTES = 2**20  # of a body that are read


class _Retry(urllib3.Retry):
    """Retries that obey `Retry-After`, and use the default pauses if it is unreadable."""

    def parse_retry_after(self, retry_after: str) -> float:
        """Return the seconds to wait, given as a number or a date; 0 if it is neither."""
        with suppress(InvalidHeader, ValueError, OverflowError):
            return min(super().parse_retry_after(retry_after), _TIMEOUT)
        return 0.0


_RETRY = _Retry(total=_RETRIES, allowed_methods=None, backoff_factor=1, backoff_max=_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of an endpoint.

    Attributes:
        status: HTTP status code.
        reason: HTTP reason phrase.
        content: First MiB of the body.
    """

    status: int
    reason: str
    content: bytes


class Connection:
    """Posts JSON to one URL; several threads may use it at once."""

    def __init__(self, url: str, key: str, threads: int, check: Check) -> None:
        """Prepare connections, through the proxy of the environment variables if there is one.

        Args:
            url: URL of the endpoint.
            key: Bearer token, sent only to this URL; no token if empty.
            threads: Number of connections that are kept open.
            check: Checks the time limit before each attempt.

        Raises:
            ConnectionError: The URL of the proxy or of the endpoint is invalid.
        """
        self._url = url
        self._check = check
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        try:
            self._pool = _connection_pool(url, threads)
        except HTTPError as error:
            raise ConnectionError(str(error)) from None

    def post(self, body: Mapping[str, Any]) -> Answer:
        """Return the response to a request; a redirect is returned and never followed.

        If the connection fails or the endpoint is busy, the request is sent again: at once, then
        after 2, 4, 8 and 16 seconds, or after the time in `Retry-After`.

        Raises:
            ConnectionError: The endpoint cannot be reached.
            TimeUp: The time limit has passed.
        """
        data = json.dumps(body).encode()
        retry: urllib3.Retry = _RETRY
        while True:
            self._check()
            response, content, failure = None, b"", None
            try:
                response = self._pool.request(
                    "POST", self._url, body=data, headers=self._headers, timeout=_TIMEOUT,
                    retries=False, redirect=False, preload_content=False,
                )  # fmt: skip
                with response:
                    content = response.read(_MAX_BYTES)
            except HTTPError as error:
                failure = error
            if (
                response
                and not failure
                and (response.status not in _RETRY_STATUSES or not retry.total)
            ):
                return Answer(response.status, response.reason or "", content)
            if not retry.total:
                raise ConnectionError(str(failure))
            retry = retry.increment("POST", self._url, response=response, error=failure)
            retry.sleep(response)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


def _connection_pool(url: str, threads: int) -> urllib3.PoolManager:
    parts = urllib3.util.parse_url(url)
    proxy = getproxies().get(parts.scheme or "", "")
    if not proxy or proxy_bypass(parts.netloc or ""):
        return urllib3.PoolManager(maxsize=threads)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, maxsize=threads, proxy_headers=headers)
