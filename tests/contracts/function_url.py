"""A stand-in for AWS Lambda's function URLs: an HTTP server on the loopback interface that calls a handler in this
process with events of payload format 2.0, and answers as the handler says (Lambda developer guide, "Invoking function
URLs").
"""

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Handler = Callable[[dict[str, Any], Any], Mapping[str, Any]]
TEXT = ("text/", "application/json", "application/xml", "application/javascript")  # bodies that are not base64


class Context:
    """What Lambda tells a handler of its invocation."""

    function_name = "evidence_page"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:evidence_page"
    aws_request_id = "1"


def event(method: str, address: str, *, body: bytes = b"", content_type: str = "") -> dict[str, Any]:
    """The event of one request; `address` is the path with its query."""
    parts = urlsplit(address)
    made: dict[str, Any] = {
        "version": "2.0",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"content-type": content_type} if content_type else {},
        "requestContext": {"http": {"method": method, "path": parts.path, "sourceIp": "127.0.0.1"}},
        "isBase64Encoded": False,
    }
    if parts.query:
        made["queryStringParameters"] = dict(parse_qsl(parts.query))
    if body:
        is_text = content_type.startswith(TEXT)
        made |= {"isBase64Encoded": not is_text, "body": (body if is_text else base64.b64encode(body)).decode()}
    return made


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """The URL at which the handler is called, with a slash at its end."""

    class Requests(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type") or ""
            answer = handler(event(self.command, self.path, body=body, content_type=kind), Context())
            sent = answer.get("body", "").encode()
            self.send_response(answer["statusCode"])
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815  # http.server's names

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
