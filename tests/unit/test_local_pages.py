"""The addresses of functions on this computer: what is asked without TLS is answered by the emulator behind it."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cli import local_aws, local_pages


class Emulator(BaseHTTPRequestHandler):
    """A stand-in that says what it was asked."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = f"{self.command} {self.path} {self.headers['X-Signature']} ".encode() + body
        self.send_response(303)
        self.send_header("Location", "?noted=take")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = answer  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_aws, "HOME", tmp_path_factory.mktemp("home"))
        certificate, key = local_aws.tls_certificate()
    emulator = ThreadingHTTPServer(("127.0.0.1", 0), Emulator)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    emulator.socket = context.wrap_socket(emulator.socket, server_side=True)
    threading.Thread(target=emulator.serve_forever, daemon=True).start()
    free = local_aws._free_port(0)
    server = local_pages.serve(free, emulator_port=emulator.server_address[1], certificate=str(certificate))
    yield free
    for one in (server, emulator):
        one.shutdown()
        one.server_close()


def asked(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {"X-Signature": "s1"})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    return answer.status, answer.getheader("Location"), said


def test_a_request_reaches_the_function_whole_and_so_does_its_answer(port: int) -> None:
    assert asked(port, "POST", "/abc/1.token?x=1", b"by=Mia") == (
        303,
        "?noted=take",
        b"POST /_aws/lambda-url/abc/1.token?x=1 s1 by=Mia",
    )


def test_nothing_but_functions_can_be_reached(port: int) -> None:
    status, _, _ = asked(port, "GET", "/../../_ministack/reset")

    assert status == 404
    assert asked(port, "GET", "/_ministack/reset")[2].startswith(b"GET /_aws/lambda-url/_ministack/reset")


def test_it_listens_on_this_computer_alone(port: int) -> None:
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}

    for address in others:
        with pytest.raises(OSError), socket.create_connection((str(address), port), timeout=2):
            pass


def test_what_is_too_large_is_refused(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/abc/")
    connection.putheader("Content-Length", str(local_pages.LARGEST_BODY + 1))
    connection.endheaders()

    assert connection.getresponse().status == 413
    connection.close()
