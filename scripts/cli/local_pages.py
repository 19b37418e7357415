"""The addresses of functions, without TLS: `http://localhost:<port>/<name>/…` leads to the emulator's own.

The emulator's certificate is one that no browser knows, and the evidence page is to open without a warning. Listens on
the loopback interface alone, and hands on nothing but requests to functions.
"""

import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FUNCTIONS = "/_aws/lambda-url"  # where the emulator serves them
ANSWERS_WITHIN_S = 30.0
LARGEST_BODY = 6_000_000  # bytes; what a function takes in AWS
# Headers that are about one of the two connections, which each side writes for itself.
OWN = ("host", "connection", "keep-alive", "content-length", "transfer-encoding", "date", "server")


def serve(port: int, *, emulator_port: int, certificate: str) -> ThreadingHTTPServer:
    """Serves from a thread of this process until it ends. port : of this server; 127.0.0.1 only."""
    trusted = ssl.create_default_context(cafile=certificate)

    class Requests(BaseHTTPRequestHandler):
        def hand_on(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if size > LARGEST_BODY or ".." in self.path:
                self.send_error(413 if size > LARGEST_BODY else 404)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
            emulator = http.client.HTTPSConnection(
                "localhost", emulator_port, context=trusted, timeout=ANSWERS_WITHIN_S
            )
            try:
                emulator.request(self.command, FUNCTIONS + self.path, self.rfile.read(size) or None, headers)
                answer = emulator.getresponse()
                body = answer.read()
            except OSError:
                self.send_error(502)
                return
            finally:
                emulator.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OWN:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = hand_on  # noqa: N815  # http.server's names

        def log_message(self, *_: object) -> None:
            """Says nothing: the path is a key to the page."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Requests)
    threading.Thread(target=server.serve_forever, daemon=True, name="pages").start()
    return server
