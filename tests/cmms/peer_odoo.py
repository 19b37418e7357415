"""A real Odoo 19 (scripts/cli/peers/odoo.py). Mia works in it as a person does, with her own rights."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cli import peers
from cli.peers import odoo
from telltale.adapters.cmms.odoo import ADAPTER, ORDER, PREFIX, Odoo
from telltale.core.closure import Closure

from tests.cmms.peer import Gone, Peer, adapted

NAME, REAL = "odoo", True
PASSWORD = "a-password-in-the-address"
CODES = {name: f"x_{name}" for name in ("failure_mode", "failure_cause", "action_taken", "note")}
TOLD_WITHIN_S = 20


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class OdooPeer(Peer):
    asset, spare_part = odoo.ASSET, odoo.PART

    def __init__(
        self, server: odoo.Odoo, told: "queue.Queue[tuple[dict[str, str], bytes]]", api: str = "json2"
    ) -> None:
        self.server, self.url, self.api, self._told = server, server.url, api, told

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Odoo:
        given: dict[str, Any] = {
            "url": url or self.url,
            "database": self.server.database,
            "api": self.api,
            "login": "telltale",
        }
        given |= {"team": odoo.TEAM, "codes": CODES, "stock": True, "pushes": True, **(settings or {})}
        keys = {"api_key": self.server.keys["telltale"], "hint_password": PASSWORD, **(secrets or {})}
        made = adapted(ADAPTER, given, keys, now_ms)
        assert isinstance(made, Odoo)
        return made

    def stage(self, name: str) -> int:
        [found] = self.mia("maintenance.stage", "search_read", domain=[["name", "=", name]], fields=["id"])
        return int(found["id"])

    def mia(self, model: str, method: str, **named: Any) -> Any:
        return self.server.ask("mia", model, method, **named)

    def write(self, ref: str, **values: Any) -> None:
        self.mia(ORDER, "write", ids=[int(ref)], vals=values)

    def take_up(self, ref: str, by: str) -> None:
        self.write(ref, stage_id=self.stage("In Progress"))

    def hold(self, ref: str, by: str) -> None:
        self.write(ref, kanban_state="blocked")

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        codes = {CODES[name]: code for name, code in closure.as_dict().items()} if closure else {}
        self.write(ref, stage_id=self.stage("Repaired"), **codes)

    def cancel(self, ref: str, by: str) -> None:
        self.mia(ORDER, "archive_equipment_request", ids=[int(ref)])

    def reopen(self, ref: str, by: str) -> None:
        self.mia(ORDER, "reset_equipment_request", ids=[int(ref)])

    def delete(self, ref: str) -> None:
        self.mia(ORDER, "unlink", ids=[int(ref)])

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        values = {"name": title, "description": description}
        self.write(ref, **{name: value for name, value in values.items() if value is not None})

    def comments(self, ref: str) -> list[str]:
        domain = [["model", "=", ORDER], ["res_id", "=", int(ref)], ["message_type", "=", "comment"]]
        found = self.mia("mail.message", "search_read", domain=domain, fields=["body"])
        return [one["body"] for one in found]

    def pictures(self, ref: str) -> int:
        domain = [["res_model", "=", ORDER], ["res_id", "=", int(ref)]]
        return len(self.mia("ir.attachment", "search_read", domain=domain, fields=["id"]))

    def count(self, key: str) -> int:
        domain = [["model", "=", ORDER], ["name", "=", (PREFIX + key).partition(".")[2]]]
        found = self.server.ask("admin", "ir.model.data", "search_read", domain=domain, fields=["res_id"])
        return len(
            self.mia(ORDER, "search_read", domain=[["id", "in", [one["res_id"] for one in found]]], fields=["id"])
        )

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        """What Odoo sends when somebody blocks the order."""
        with self.telling():
            self.write(ref, kanban_state="blocked")
            deadline = time.monotonic() + TOLD_WITHIN_S
            while time.monotonic() < deadline:
                headers, body = self._told.get(timeout=TOLD_WITHIN_S)
                if json.loads(body)["_id"] == int(ref):
                    return headers, body
        raise AssertionError(f"Odoo did not tell of {ref}")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """The rule that tells is on until the block ends: it costs each write a request."""
        domain = [["name", "=", "Tell Telltale"], ["active", "in", [True, False]]]
        [rule] = self.server.ask("admin", "base.automation", "search_read", domain=domain, fields=["id"])
        self.server.ask("admin", "base.automation", "write", ids=[rule["id"]], vals={"active": True})
        try:
            yield
        finally:
            self.server.ask("admin", "base.automation", "write", ids=[rule["id"]], vals={"active": False})


@contextmanager
def serving(api: str = "json2") -> Iterator[Peer]:
    try:
        with odoo.running() as server, _listening() as (address, told):
            [action] = server.ask(
                "admin", "ir.actions.server", "search_read", domain=[["name", "=", "Tell Telltale"]], fields=["id"]
            )
            server.ask("admin", "ir.actions.server", "write", ids=[action["id"]], vals={"webhook_url": address})
            yield OdooPeer(server, told, api)
    except peers.Gone as gone:
        raise Gone(str(gone)) from gone


@contextmanager
def _listening() -> Iterator[tuple[str, "queue.Queue[tuple[dict[str, str], bytes]]"]]:
    """An address for Odoo's messages, and what comes there: headers and body."""
    told: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://telltale:{PASSWORD}@127.0.0.1:{server.server_port}/plant", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
