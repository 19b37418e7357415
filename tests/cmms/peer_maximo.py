"""A stand-in for IBM Maximo Manage (maximo_server.py)."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from telltale.adapters.cmms.maximo import ADAPTER, Maximo
from telltale.adapters.cmms.oauth import basic
from telltale.core.closure import Closure

from tests.cmms import maximo_server
from tests.cmms.maximo_server import KEY, Server
from tests.cmms.peer import Peer, adapted

NAME, REAL = "maximo", False
HINT_PASSWORD = "only the publish channel knows"
PROBLEMS = {"LUBRICATION": "DRY", "IMBALANCE": "UNBAL"}
CAUSES = {"WEAR": "WORN", "OPERATION": "OPERATOR"}
REMEDIES = {"LUBRICATE": "GREASED", "REPLACE": "REPLACED"}
SETTINGS = {
    "siteid": "BEDFORD",
    "failure_class": "PUMPS",
    "problem_codes": PROBLEMS,
    "cause_codes": CAUSES,
    "remedy_codes": REMEDIES,
    "pushes": True,
}
SECRETS = {"apikey": KEY, "hint_password": HINT_PASSWORD}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class MaximoPeer(Peer):
    asset, spare_part = "11430", "0-0514"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Maximo:
        given = {**SETTINGS, "url": url or self.url, **(settings or {})}
        return cast("Maximo", adapted(ADAPTER, given, SECRETS if secrets is None else secrets, now_ms))

    def take_up(self, ref: str, by: str) -> None:
        self.server.move(ref, "APPR", by)
        self.server.move(ref, "INPRG", by)

    def hold(self, ref: str, by: str) -> None:
        self.server.move(ref, "WMATL", by)

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        if closure is not None:
            report = [
                {"type": "CAUSE", "failurecode": CAUSES[closure.failure_cause]},
                {"type": "REMEDY", "failurecode": REMEDIES[closure.action_taken]},
            ]
            self.server.orders[ref] |= {"problemcode": PROBLEMS[closure.failure_mode], "failurereport": report}
        self.server.move(ref, "COMP", by)

    def cancel(self, ref: str, by: str) -> None:
        self.server.move(ref, "CAN", by)

    def delete(self, ref: str) -> None:
        del self.server.orders[ref]

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        words = {"description": title, "description_longdescription": description}
        self.server.orders[ref] |= {name: text for name, text in words.items() if text is not None}

    def comments(self, ref: str) -> list[str]:
        return [one["description_longdescription"] for one in self.server.orders[ref]["worklog"]]

    def pictures(self, ref: str) -> int:
        return len(self.server.pictures.get(ref, ()))

    def count(self, key: str) -> int:
        return sum(row.get("externalrefid") == key for row in self.server.orders.values())

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        order = {name: self.server.orders[ref][name] for name in ("wonum", "siteid", "status", "description")}
        headers = {"content-type": "application/json", **basic("telltale", HINT_PASSWORD)}
        return {name.lower(): value for name, value in headers.items()}, json.dumps({"WORKORDER": [order]}).encode()


@contextmanager
def serving(**changes: Any) -> Iterator[MaximoPeer]:
    """changes : of the Server."""
    with maximo_server.serving(Server(**changes)) as server:
        yield MaximoPeer(server)
