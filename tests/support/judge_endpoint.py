"""A judge's endpoint on this machine: it gives the replies that a test sets, and logs requests."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.local_server import serve


@dataclass
class Endpoint:
    """The replies of an endpoint, and the requests that it got.

    Attributes:
        url: Its address.
        said: Replies by a part of the question.
        failures: Statuses of the next replies, the last first.
        body: The whole reply in place of one by `said`.
        elsewhere: The address that its redirects name.
        after: The `Retry-After` of each reply.
        broken: A part of the questions that are answered with 401.
        refusing: Returns why a request is refused with 400, or None to accept it.
        needed: Tokens that a reply needs; with a lower limit it is cut off.
        cut_off: How many replies end before their announced length.
        headers: The headers of each request.
        log: Path, authorisation and body of each request.
    """

    url: str = ""
    said: dict[str, str] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    body: str | None = None
    elsewhere: str = ""
    after: str | None = None
    broken: str | None = None
    refusing: Callable[[dict[str, Any]], str | None] = lambda body: None
    needed: int = 0
    cut_off: int = 0
    headers: list[Message] = field(default_factory=list)
    log: list[tuple[str, str | None, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Serve an endpoint until the block ends."""
    room = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            room.headers.append(self.headers)
            room.log.append((self.path, self.headers.get("Authorization"), body))
            asked = body["messages"][0]["content"]
            said = next((reply for part, reply in room.said.items() if part in asked), "1")
            choice: dict[str, Any] = {"message": {"role": "assistant", "content": said}}
            limit = body.get("max_tokens", body.get("max_completion_tokens"))
            if limit < room.needed:
                choice = {"message": {"content": "Well, it may"}, "finish_reason": "length"}
            message: dict[str, Any] = {"choices": [choice]}
            status = room.failures.pop() if room.failures else 200
            if room.broken is not None and room.broken in asked:
                status = 401
            if fault := room.refusing(body):
                status, message = 400, {"error": {"message": fault}}
            data = (room.body if room.body is not None else json.dumps(message)).encode()
            self.send_response(status)
            missing = 9 if room.cut_off else 0
            room.cut_off -= bool(missing)
            self.send_header("Content-Length", str(len(data) + missing))
            self.send_header("Location", room.elsewhere)
            if room.after is not None:
                self.send_header("Retry-After", room.after)
            self.end_headers()
            self.wfile.write(data)

    with serve(Handler) as address:
        room.url = f"{address}/v1"
        yield room
