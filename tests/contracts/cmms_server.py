"""A maintenance system behind Telltale's webhook: strict, real HTTP, written from docs/webhook.md alone.

It shares no code with the adapter. It does not make creation idempotent: asked twice, it makes two orders, as
most systems do. `trouble` holds what goes wrong with the next requests.
"""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIELDS = {"key", "case_id", "title", "description", "severity", "position", "asset", "opened_ms", "link", "fields"}
CLOSURE = {"failure_mode", "failure_cause", "action_taken", "note"}
FINAL = ("DONE", "CANCELLED")


class Cmms:
    """The orders, and how the next requests go wrong: each of `trouble` is (when, status, headers, body)."""

    def __init__(self, secret: bytes, now_s: Any = time.time) -> None:
        self.secret, self.now_s = secret, now_s
        self.orders: dict[str, dict[str, Any]] = {}
        self.trouble: list[tuple[str, int, dict[str, str], bytes]] = []
        self.seen: list[str] = []  # actions, in order
        self.asked: list[dict[str, Any]] = []  # own fields of each order that was made
        self.url = ""

    def fail(
        self, times: int = 1, *, when: str = "before", status: int = 503, body: bytes = b"", **headers: str
    ) -> None:
        """The next requests are answered so, "before" or "after" what they asked for was done."""
        self.trouble += [(when, status, {k.replace("_", "-"): v for k, v in headers.items()}, body)] * times

    def answer(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if problem := self.problem(headers, body):
            return 401, {}, problem.encode()
        message = json.loads(body)
        self.seen.append(message["action"])
        when, status, extra, text = self.trouble.pop(0) if self.trouble else ("", 0, {}, b"")
        if when == "before":
            return status, extra, text
        try:
            done = self.do(message, headers)
        except (AssertionError, KeyError) as error:
            return 400, {}, repr(error).encode()
        return (status, extra, text) if when else (200, {}, json.dumps({"order": done}).encode())

    def problem(self, headers: Any, body: bytes) -> str | None:
        signed = headers["Telltale-Timestamp"].encode() + b"." + body
        wanted = "sha256=" + hmac.new(self.secret, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, headers["Telltale-Signature"]):
            return "bad signature"
        if abs(self.now_s() - int(headers["Telltale-Timestamp"])) > 300:
            return "too old"
        return None

    def do(self, message: dict[str, Any], headers: Any) -> dict[str, Any] | None:
        assert message.pop("version") == "1"
        action = message.pop("action")
        if action == "find":
            [key] = message.values()
            return next((order for order in self.orders.values() if order["key"] == key), None)
        if action == "create":
            assert headers["Idempotency-Key"] == message["key"] == message["order"]["key"]
            assert set(message["order"]) == FIELDS
            self.asked.append(message["order"]["fields"])
            ref = f"WO-{len(self.orders) + 1}"
            shown = {"title": message["order"]["title"], "severity": message["order"]["severity"], "comments": {}}
            self.orders[ref] = {"ref": ref, "key": message["key"], "status": "OPEN", "changed_ms": self.ms()} | shown
            return self.orders[ref]
        order = self.orders.get(message.pop("ref"))
        if action == "get" or order is None:
            return order
        getattr(self, action)(order, message, headers)
        return order

    def update(self, order: dict[str, Any], message: dict[str, Any], _: Any) -> None:
        assert set(message["order"]) <= FIELDS
        if order["status"] not in FINAL:
            order |= {name: message["order"][name] for name in ("title", "severity") if name in message["order"]}

    def comment(self, order: dict[str, Any], message: dict[str, Any], headers: Any) -> None:
        order["comments"].setdefault(headers["Idempotency-Key"], message["text"])

    def set_status(self, order: dict[str, Any], message: dict[str, Any], _: Any) -> None:
        assert set(message.get("closure", CLOSURE)) == CLOSURE
        if order["status"] not in FINAL:
            order |= {"status": message["status"], "by": message["by"], "changed_ms": self.ms()}
            order |= {"closure": message["closure"]} if "closure" in message else {}

    def ms(self) -> int:
        return round(self.now_s() * 1000)

    def hint(self, ref: str, *, secret: bytes | None = None, at_s: float | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of the message that says something happened to `ref`."""
        return self.signed(json.dumps({"version": "1", "ref": ref}).encode(), secret=secret, at_s=at_s)

    def signed(
        self, body: bytes, *, secret: bytes | None = None, at_s: float | None = None
    ) -> tuple[dict[str, str], bytes]:
        timestamp = str(int(self.now_s() if at_s is None else at_s))
        mac = hmac.new(secret or self.secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"telltale-timestamp": timestamp, "telltale-signature": f"sha256={mac}"}, body


@contextmanager
def serving(cmms: Cmms) -> Iterator[Cmms]:
    """The system, reachable at `cmms.url` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, answer = cmms.answer(self.headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    cmms.url = f"http://127.0.0.1:{server.server_port}/telltale"
    try:
        yield cmms
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
