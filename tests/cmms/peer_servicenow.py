"""A stand-in for ServiceNow (servicenow_server.py) with orders in wm_order, asked with OAuth's client credentials."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from telltale.adapters.cmms.port import Cmms
from telltale.adapters.cmms.servicenow import ADAPTER
from telltale.core.closure import Closure

from tests.cmms.peer import CannotDo, Peer, adapted
from tests.cmms.peer_webhook import now_ms
from tests.cmms.servicenow_server import Instance
from tests.cmms.servicenow_server import serving as serving_instance

NAME, REAL = "servicenow", False
CODES = {name: f"u_telltale_{name}" for name in ("failure_mode", "failure_cause", "action_taken")}
STATES = {
    "wm_order": {"take up": "17", "close": "3", "cancel": "7"},
    "incident": {"take up": "2", "hold": "3", "close": "6", "cancel": "8", "reopen": "2"},
}


class ServiceNowPeer(Peer):
    asset = "P-7"
    secrets: Mapping[str, str]

    def __init__(self, server: Instance, table: str = "wm_order") -> None:
        self.server, self.url, self.table = server, server.url, table
        server.fields[table] |= set(CODES.values())
        server.own("cmdb_ci", name="Pump 7", asset_tag="P-7")
        self.secrets = {"client_id": server.client, "client_secret": server.client_secret}

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **_: Any,
    ) -> Cmms:
        own = {"url": url or self.url, "table": self.table, "code_fields": CODES, "pushes": True}
        hints = {"hints_secret": self.server.hints_secret.decode()}
        return cast(
            Cmms,
            adapted(
                ADAPTER,
                {**own, **(settings or {})},
                {**hints, **(self.secrets if secrets is None else secrets)},
                now_ms,
            ),
        )

    def take_up(self, ref: str, by: str) -> None:
        self._move(ref, by, "take up", assigned_to=by)

    def hold(self, ref: str, by: str) -> None:
        self._move(ref, by, "hold", **({"hold_reason": "3"} if self.table == "incident" else {}))

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        said = closure.as_dict() if closure is not None else {"note": "done"}
        codes = {CODES[name]: code for name, code in said.items() if name in CODES}
        code = {"close_code": "Solution provided"} if self.table == "incident" else {}
        self._move(ref, by, "close", close_notes=said["note"], **codes, **code)

    def cancel(self, ref: str, by: str) -> None:
        self._move(ref, by, "cancel")

    def reopen(self, ref: str, by: str) -> None:
        self._move(ref, by, "reopen")

    def delete(self, ref: str) -> None:
        del self.server.tables[self.table][ref]

    def merge(self, ref: str, into: str) -> None:
        if self.table != "incident":
            raise CannotDo("work orders are not merged")
        closed = {"state": "6", "close_code": "Duplicate", "close_notes": "see there"}
        self.server.write("incident", ref, parent_incident=into, **closed)

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        said = {"short_description": title, "description": description}
        self.server.write(self.table, ref, **{name: one for name, one in said.items() if one is not None})

    def comments(self, ref: str) -> list[str]:
        return [text for _, _, text in self.server.journal.get((ref, "work_notes"), [])]

    def pictures(self, ref: str) -> int:
        return sum(one["table_sys_id"] == ref for one in self.server.attachments)

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        return self.server.hint(ref)

    def count(self, key: str) -> int:
        return sum(one.get("correlation_id") == key for one in self.server.tables[self.table].values())

    def _move(self, ref: str, by: str, what: str, **fields: str) -> None:
        if what not in STATES[self.table]:
            raise CannotDo(f"there is no way to {what} a record of {self.table}")
        self.server.write(self.table, ref, by, state=STATES[self.table][what], **fields)


@contextmanager
def serving() -> Iterator[Peer]:
    with serving_instance(Instance()) as server:
        yield ServiceNowPeer(server)
