"""A stand-in for MaintainX (maintainx_server.py): no instance can be had without an account."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from telltale.adapters.cmms.maintainx import ADAPTER
from telltale.adapters.cmms.port import Cmms
from telltale.core.closure import ACTIONS_TAKEN, FAILURE_CAUSES, FAILURE_MODES, Closure

from tests.cmms.maintainx_server import MaintainX
from tests.cmms.maintainx_server import serving as serving_orders
from tests.cmms.peer import Peer, adapted
from tests.cmms.peer_webhook import now_ms

NAME, REAL = "maintainx", False
FIELDS = {"failure_mode": "Failure mode", "failure_cause": "Failure cause", "action_taken": "Action taken"}


class MaintainXPeer(Peer):
    asset, spare_part = "964", "SKF 6205"

    def __init__(self, server: MaintainX) -> None:
        self.server, self.url = server, server.url
        server.limit = 10_000_000  # the contract is asked faster than 100 requests a minute; test_maintainx.py is not
        lists = {"failure_mode": FAILURE_MODES, "failure_cause": FAILURE_CAUSES, "action_taken": ACTIONS_TAKEN}
        server.custom_fields |= {FIELDS[name]: list(codes) for name, codes in lists.items()}
        server.parts[77] = {
            "name": "Bearing 6205",
            "availableQuantity": 3,
            "inStockQuantity": 3,
            "extraFields": {},
            "vendors": [{"vendorId": 1, "partNumber": "SKF 6205"}],
            "locations": [{"locationId": 852, "availableQuantity": 3, "area": "tool room"}],
        }
        self._hook = server.subscribe("WORK_ORDER_STATUS_CHANGE", "https://hints.example.com/plant")

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **_: Any,
    ) -> Cmms:
        own = {"url": url or self.url, "code_fields": FIELDS, "pushes": True}
        hook = self.server.subscriptions[self._hook]["secret"]
        return cast(
            Cmms,
            adapted(
                ADAPTER,
                {**own, **(settings or {})},
                {"api_key": self.server.key, "webhook_secrets": f"another {hook}", **(secrets or {})},
                now_ms,
            ),
        )

    def take_up(self, ref: str, by: str) -> None:
        self.server.move(int(ref), "IN_PROGRESS")

    def hold(self, ref: str, by: str) -> None:
        self.server.move(int(ref), "ON_HOLD")

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        if closure is not None:
            codes = {label: closure.as_dict()[name] for name, label in FIELDS.items()}
            self.server.write(int(ref), extraFields=codes, workOrderSummary={"content": closure.note})
        self.server.move(int(ref), "DONE")

    def cancel(self, ref: str, by: str) -> None:
        self.server.move(int(ref), "CANCELED")

    def reopen(self, ref: str, by: str) -> None:
        self.server.move(int(ref), "OPEN")

    def delete(self, ref: str) -> None:
        self.server.delete(int(ref))

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        said = {"title": title, "description": description}
        self.server.write(int(ref), **{name: one for name, one in said.items() if one is not None})

    def comments(self, ref: str) -> list[str]:
        return [one["content"] for one in self.server.comments.get(int(ref), [])]

    def pictures(self, ref: str) -> int:
        return len(self.server.orders[int(ref)]["attachments"])

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        return self.server.signed(self._hook, self.server.status_event(int(ref), "OPEN", "CANCELED"))

    def count(self, key: str) -> int:
        return sum(order.get("externalData") == {"telltale": key} for order in self.server.orders.values())


@contextmanager
def serving() -> Iterator[Peer]:
    with serving_orders(MaintainX()) as server:
        yield MaintainXPeer(server)
