"""A local server with the paths and headers of the Hugging Face hub that its client uses."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.local_server import serve

COMMIT = "a" * 40
LARGE = (".tar", ".bin", ".safetensors")


@dataclass
class Hub:
    """Repositories by `owner/name` with their files, and the faults that a test asks for."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)  # path -> bytes after which, once
    failing: set[str] = field(default_factory=set)  # paths that the server fails to look up
    forged: set[str] = field(default_factory=set)  # paths whose content is not what was promised
    log: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""
    cdn: str = ""

    def add(self, repo: str, folder: Path) -> None:
        self.repos[repo] = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def bodies(self) -> list[str]:
        """Paths of large files whose content was asked for."""
        return [path for method, path, _ in self.log if method == "GET" and path.endswith(LARGE)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self.hub.log.append((self.command, self.path, self.headers.get("Range")))
        if self.path == "/":
            return self._send(200, {}, b"", body)
        if self.path.startswith("/cdn/"):
            return self._content(self.path.removeprefix("/cdn/"), body=body)
        where = self.path.removeprefix("/datasets").removeprefix("/")
        repo, _, rest = where.partition("/resolve/")  # old names of repositories have no owner
        revision, _, path = rest.partition("/")
        if not rest:
            return self._error(404, "NotFound")  # its client asks for more, and does without
        if repo not in self.hub.repos:
            return self._error(404, "RepoNotFound")
        if repo in self.hub.gated:
            return self._error(403, "GatedRepo")
        if revision not in ("main", COMMIT):
            return self._error(404, "RevisionNotFound")
        if path in self.hub.failing:
            return self._error(500, "Unavailable")
        data = self.hub.repos[repo].get(path)
        if data is None:
            return self._error(404, "EntryNotFound", {"X-Repo-Commit": COMMIT})
        if path.endswith(LARGE):
            headers = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{self.hub.cdn}/{repo}/of/{path}",
            }
            return self._send(302, headers, b"", body)
        etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self._send(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}, data, body)

    def _content(self, where: str, body: bool) -> None:
        repo, _, path = where.partition("/of/")
        data = self.hub.repos[repo][path]
        if path in self.hub.forged:
            data = bytes(len(data) - 1) + b"!"
        given = self.headers.get("Range")
        start = int(given.removeprefix("bytes=").partition("-")[0]) if given else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if given else {}
        rest = data[start:]
        if path in self.hub.cut:
            self.send_response(200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: self.hub.cut.pop(path)])
            self.close_connection = True
            return
        self._send(206 if given else 200, headers, rest, body)

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})}
        self._send(status, headers, b"", self.command == "GET")

    def _send(self, status: int, headers: dict[str, str], data: bytes, body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub on the local machine until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with serve(handler) as hub.url:
        hub.cdn = hub.url.replace("127.0.0.1", "localhost") + "/cdn"  # another host, as the hub's
        yield hub
