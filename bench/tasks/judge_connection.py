"""The HTTP connection to a judge's endpoint: retries, proxies, limits, and no redirects.

urllib3 counts retries, computes pauses and reads `Retry-After`. The loop over attempts stands here
because urllib3 reads the whole body of a reply that it tries again, however long it is, and does
not try again where a body breaks off.
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

_BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
_RETRIES = 5
_PATIENCE = 60  # seconds until an attempt counts as failed, and the longest pause
_LONGEST = 2**20  # bytes of a body


class _Retry(urllib3.Retry):
    """Pauses as an endpoint asks, and as usual where its `Retry-After` is unreadable."""

    def parse_retry_after(self, retry_after: str) -> float:
        """Return the seconds to wait, from seconds or from a date; 0 where it is neither."""
        with suppress(InvalidHeader, ValueError, OverflowError):
            return min(super().parse_retry_after(retry_after), _PATIENCE)
        return 0.0


_RETRY = _Retry(total=_RETRIES, allowed_methods=None, backoff_factor=1, backoff_max=_PATIENCE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers to one request.

    Attributes:
        status: The HTTP status.
        reason: The status in words.
        content: The body; what exceeds 1 MiB is left out.
    """

    status: int
    reason: str
    content: bytes


class Connection:
    """Posts JSON to one address; several threads may use it at once."""

    def __init__(self, url: str, key: str, threads: int) -> None:
        """Prepare connections, through the proxy that the environment names, if any.

        Args:
            url: The address.
            key: The bearer token that is sent there and nowhere else; none where empty.
            threads: How many connections are kept open.

        Raises:
            ConnectionError: The address of the proxy or of the endpoint is invalid.
        """
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        try:
            self._pool = _pool(url, threads)
        except HTTPError as error:
            raise ConnectionError(str(error)) from None

    def post(self, body: Mapping[str, Any]) -> Answer:
        """Return the answer to a request; a redirect is an answer and is never followed.

        A request that fails for want of a connection, or because the endpoint is busy, is sent
        again: at once, then after 2, 4, 8 and 16 seconds, or after as long as `Retry-After` says.

        Raises:
            ConnectionError: The endpoint cannot be reached.
        """
        data = json.dumps(body).encode()
        retry: urllib3.Retry = _RETRY
        while True:
            response, content, failure = None, b"", None
            try:
                response = self._pool.request(
                    "POST", self._url, body=data, headers=self._headers, timeout=_PATIENCE,
                    retries=False, redirect=False, preload_content=False,
                )  # fmt: skip
                with response:
                    content = response.read(_LONGEST)
            except HTTPError as error:
                failure = error
            if response and not failure and (response.status not in _BUSY or not retry.total):
                return Answer(response.status, response.reason or "", content)
            if not retry.total:
                raise ConnectionError(str(failure))
            retry = retry.increment("POST", self._url, response=response, error=failure)
            retry.sleep(response)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


def _pool(url: str, threads: int) -> urllib3.PoolManager:
    parts = urllib3.util.parse_url(url)
    proxy = getproxies().get(parts.scheme or "", "")
    if not proxy or proxy_bypass(parts.netloc or ""):
        return urllib3.PoolManager(maxsize=threads)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, maxsize=threads, proxy_headers=headers)
