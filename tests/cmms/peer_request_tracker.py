"""Request Tracker 5 itself, out of Debian's packages; its people use its own interface under their own names."""

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Empty, Queue
from typing import Any
from urllib.parse import quote

from cli import peers
from cli.peers.request_tracker import Running
from cli.peers.request_tracker import serving as serving_rt
from telltale.adapters.cmms.adapter import Given
from telltale.adapters.cmms.request_tracker import ADAPTER, RequestTracker
from telltale.core.closure import Closure

from tests.cmms.peer import Gone, Peer

NAME, REAL = "request_tracker", True
TOLD_S = 10  # how long RT's scrip may take
CODES = {
    "failure_mode": "Failure mode",
    "failure_cause": "Failure cause",
    "action_taken": "Action taken",
    "note": "Closure note",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class RequestTrackerPeer(Peer):
    asset = "pump-7"

    def __init__(self, running: Running, told: "Queue[tuple[Mapping[str, str], bytes]]") -> None:
        self._running, self._told = running, told
        self.url, self.password = running.url, running.password

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> RequestTracker:
        own = {"url": url or self.url, "queue": "Maintenance", "catalog": "Machines", "pushes": True}
        defaults = {name: setting.default for name, setting in ADAPTER.settings.items()}
        return RequestTracker(
            Given(
                site="plant",
                settings={**defaults, **own, **(settings or {})},
                secrets=secrets or {"token": self._running.token, "hints": self._running.hints},
                now_ms=now_ms,
                logbook=None,  # type: ignore[arg-type]  # only the mailbox keeps its orders there
            )
        )

    def take_up(self, ref: str, by: str) -> None:
        self._put(ref, by, {"Status": "open"})

    def hold(self, ref: str, by: str) -> None:
        self._put(ref, by, {"Status": "stalled"})

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        codes = {CODES[name]: code for name, code in closure.as_dict().items()} if closure else {}
        self._put(ref, by, {"Status": "resolved", "CustomFields": codes})

    def cancel(self, ref: str, by: str) -> None:
        self._put(ref, by, {"Status": "rejected"})

    def reopen(self, ref: str, by: str) -> None:
        self._put(ref, by, {"Status": "open"})

    def delete(self, ref: str) -> None:
        self._ask("jo", "DELETE", f"/ticket/{ref}")

    def merge(self, ref: str, into: str) -> None:
        self._put(ref, "jo", {"MergeInto": into})

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        changes: dict[str, Any] = {"Subject": title} if title else {}
        self._put(ref, "mia", changes | ({"CustomFields": {"Telltale report": description}} if description else {}))

    def comments(self, ref: str) -> list[str]:
        return [one["Content"] for one in self._attachments(ref) if one["ContentType"] == "text/plain"]

    def pictures(self, ref: str) -> int:
        return sum(one["ContentType"] == "image/png" for one in self._attachments(ref))

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        while not self._told.empty():
            self._told.get()
        self.take_up(ref, "mia")
        try:
            return self._told.get(timeout=TOLD_S)
        except Empty:
            raise AssertionError("RT's scrip told nothing") from None

    def count(self, key: str) -> int:
        query = quote(f"'CF.{{Telltale key}}'='{key}'")
        found = self._ask("root", "GET", f"/tickets?query={query}")
        return int(found["count"])

    def say(self, ref: str, by: str, text: str) -> None:
        self._ask(by, "POST", f"/ticket/{ref}/comment", {"Content": text, "ContentType": "text/plain"})

    def links(self, ref: str) -> list[str]:
        links = self._ask("root", "GET", f"/ticket/{ref}")["_hyperlinks"]
        return [f"{one['type']}:{one['id']}" for one in links if one["ref"] == "refers-to"]

    def write(self, ref: str, by: str, name: str, value: str) -> None:
        self._put(ref, by, {"CustomFields": {name: value}})

    def custom(self, ref: str, name: str) -> list[str]:
        fields = self._ask("root", "GET", f"/ticket/{ref}")["CustomFields"]
        return next(one["values"] for one in fields if one["name"] == name)

    def _attachments(self, ref: str) -> list[Any]:
        fields = "Content,ContentType,Filename"
        return list(self._ask("root", "GET", f"/ticket/{ref}/attachments?fields={fields}&per_page=100")["items"])

    def _put(self, ref: str, by: str, document: Mapping[str, Any]) -> None:
        self._ask(by, "PUT", f"/ticket/{ref}", document)

    def _ask(self, by: str, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        password = "password" if by == "root" else self._running.password
        headers = {"Authorization": "Basic " + base64.b64encode(f"{by}:{password}".encode()).decode()}
        headers |= {"Content-Type": "application/json"} if document is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", int(self.url.rpartition(":")[2]), timeout=60)
        try:
            body = json.dumps(document) if document is not None else None
            connection.request(method, f"/REST/2.0{path}", body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path} by {by}: {answer.status} {data[:300]!r}"
        return json.loads(data) if data else None


@contextmanager
def serving() -> Iterator[Peer]:
    with _listening() as (address, told):
        try:
            with serving_rt(_free_port(), address) as running:
                yield RequestTrackerPeer(running, told)
        except peers.Gone as gone:
            raise Gone(str(gone)) from gone


@contextmanager
def _listening() -> "Iterator[tuple[str, Queue[tuple[Mapping[str, str], bytes]]]]":
    """What would be the address of Telltale: an address, and what was said to it."""
    told: Queue[tuple[Mapping[str, str], bytes]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.put((dict(self.headers.items()), body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/plant", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
