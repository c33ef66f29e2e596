"""The HTTP connection to a judge's endpoint."""

import base64
from collections.abc import Iterator

import pytest

from bench.core.deadline import Check, unlimited
from bench.core.errors import TimeUp
from bench.tasks.judge_connection import Connection
from tests.support.judge_endpoint import Endpoint, endpoint

QUESTION = {"messages": [{"content": "?"}], "max_tokens": 1}


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with endpoint() as found:
        yield found


def post(url: str, check: Check = unlimited) -> int:
    connection = Connection(url, "secret", 1, check)
    try:
        return connection.post(QUESTION).status
    finally:
        connection.close()


def test_a_reply_that_breaks_off_is_asked_for_again(room: Endpoint) -> None:
    room.cut_off = 2
    assert post(room.url) == 200
    assert len(room.log) == 3
    room.cut_off = 10
    with pytest.raises(ConnectionError, match="IncompleteRead"):
        post(room.url)
    assert len(room.log) == 3 + 6


def test_a_busy_endpoint_is_asked_six_times_at_most(room: Endpoint) -> None:
    room.failures = [429] * 10
    assert post(room.url) == 429
    assert len(room.log) == 6


def test_a_busy_endpoint_is_not_asked_again_when_time_is_up(room: Endpoint) -> None:
    def check() -> None:
        if len(room.log) == 2:
            raise TimeUp("no time is left")

    room.failures = [429] * 10
    with pytest.raises(TimeUp):
        post(room.url, check)
    assert len(room.log) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect(room: Endpoint, status: int) -> None:
    with endpoint() as other:
        room.failures, room.elsewhere = [status], other.url
        assert post(room.url) == status
        assert (len(room.log), len(other.log)) == (1, 0)


def test_the_proxy_of_the_environment_is_used(
    room: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = room.url.removeprefix("http://").removesuffix("/v1")
    for proxy in (host, f"http://me:p%40ss@{host}"):
        monkeypatch.setenv("http_proxy", proxy)
        assert post("http://judge.invalid/v1") == 200
        assert room.log[-1][0] == "http://judge.invalid/v1"
    assert "Proxy-Authorization" not in room.headers[0]
    login = base64.b64encode(b"me:p@ss").decode()
    assert room.headers[1]["Proxy-Authorization"] == f"Basic {login}"
    monkeypatch.setenv("http_proxy", "http://judge.invalid:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert post(room.url) == 200
    assert room.log[-1][0] == "/v1"


def test_a_proxy_that_cannot_be_used_is_named(
    room: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "socks5://localhost:1")
    with pytest.raises(ConnectionError, match="socks5"):
        post(room.url)
