"""Bad weather before any server: a reverse proxy that forwards requests, or does to them what it was told.

It knows nothing of what it forwards. What goes wrong is used up in order, one request each.
"""

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.loopback import listening

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Trouble:
    """What becomes of a request. when : "before" it reaches the server, or "after" it was done there.

    status 0 : the connection is cut.
    """

    when: str
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    methods: tuple[str, ...] = ()  # only requests with one of these; (): any


class Weather:
    """A proxy before `target`. `url` : where to ask instead.   seen : method and path of each request."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.url = ""
        self.seen: list[tuple[str, str]] = []
        self._trouble: list[Trouble] = []
        self._lock = threading.Lock()

    def fail(
        self,
        times: int = 1,
        *,
        when: str = "before",
        status: int = 503,
        body: bytes = b"",
        delay_s: float = 0.0,
        methods: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """The next requests (of these methods) are answered so."""
        self._trouble += [Trouble(when, status, body, headers or {}, delay_s, methods)] * times

    def clear(self) -> None:
        """From now on all is well."""
        self._trouble.clear()

    def next(self, method: str) -> Trouble | None:
        with self._lock:
            for number, one in enumerate(self._trouble):
                if not one.methods or method in one.methods:
                    return self._trouble.pop(number)
        return None

    def forward(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        host = self.target.hostname or "127.0.0.1"
        connection = http.client.HTTPConnection(host, self.target.port, timeout=60)
        kept = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            connection.request(method, path, body=body, headers=kept)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP], data
        finally:
            connection.close()


@contextmanager
def before(target: str) -> Iterator[Weather]:
    """Weather before the server at `target`, an address with or without a path, until the block ends."""
    weather = Weather(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            weather.seen.append((self.command, self.path))
            trouble = weather.next(self.command)
            if trouble is not None and trouble.delay_s:
                time.sleep(trouble.delay_s)
            if trouble is None or trouble.when == "after":
                status, headers, data = weather.forward(self.command, self.path, self.headers, body)
            if trouble is not None:
                status, headers, data = trouble.status, list(trouble.headers.items()), trouble.body
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    for method in METHODS:
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with listening(Handler) as url:
        weather.url = f"{url}{weather.target.path}"
        yield weather
