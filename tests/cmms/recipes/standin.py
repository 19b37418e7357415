"""What the stand-ins for vendors' systems share: HTTP, and being strict. They share no code with the recipes.

Each is written from what the vendor documents, or its source where that is open; none is the vendor's system.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Wrong(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(status)
        self.status, self.document = status, document


class StandIn:
    """One vendor's system. `rows` are its orders, by reference."""

    url = ""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.clock = 1_790_000_000_000  # ms; each change is a second later than the one before

    def settings(self, url: str) -> dict[str, str]:
        """The recipe's settings, the system being at `url`."""
        raise NotImplementedError

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes) -> Any:
        """The JSON of a success, or Wrong."""
        raise NotImplementedError

    # What people do there

    def move(self, ref: str, raw: str, notes: str = "") -> None:
        raise NotImplementedError

    def retitle(self, ref: str, title: str) -> None:
        raise NotImplementedError

    def delete(self, ref: str) -> None:
        del self.rows[ref]

    def severity(self, ref: str) -> Any:
        raise NotImplementedError

    def said(self, ref: str) -> str:
        """All comments, or what stands for them."""
        raise NotImplementedError

    def message(self, ref: str) -> tuple[str, dict[str, str], bytes]:
        """Path after /vendor, headers and body of the message that tells of a change."""
        raise NotImplementedError

    def tick(self) -> int:
        self.clock += 1000
        return self.clock


def only(document: Mapping[str, Any], allowed: set[str], error: Any = "unknown field") -> None:
    unknown = set(document) - allowed
    if unknown:
        raise Wrong(400, {"message": f"{error}: {', '.join(sorted(unknown))}"})


@contextmanager
def serving(one: StandIn) -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            try:
                status, document = (
                    200,
                    one.answer(self.command, parts.path, dict(parse_qsl(parts.query)), self.headers, body),
                )
            except Wrong as wrong:
                status, document = wrong.status, wrong.document
            except (KeyError, TypeError, ValueError) as error:
                status, document = 400, {"message": repr(error)}
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
