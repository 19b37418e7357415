"""A stand-in for what answers behind the signed webhook, written from docs/webhook.md alone."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from telltale.adapters.cmms.webhook import Webhook
from telltale.core.closure import Closure

from tests.cmms.peer import Peer
from tests.contracts.cmms_server import Cmms as Server
from tests.contracts.cmms_server import serving as serving_orders

NAME, REAL = "webhook", False
SECRET = b"a shared secret of the two"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class WebhookPeer(Peer):
    def __init__(self, server: Server) -> None:
        self._server = server
        self.url = server.url

    def cmms(self, url: str | None = None, *, now_ms: Callable[[], int] = now_ms, **changes: Any) -> Webhook:
        return Webhook(url or self.url, SECRET, now_ms)

    def take_up(self, ref: str, by: str) -> None:
        self._move(ref, "IN_PROGRESS", by)

    def hold(self, ref: str, by: str) -> None:
        self._move(ref, "ON_HOLD", by)

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        self._move(ref, "DONE", by)
        if closure is not None:
            self._server.orders[ref]["closure"] = closure.as_dict()

    def cancel(self, ref: str, by: str) -> None:
        self._move(ref, "CANCELLED", by)

    def reopen(self, ref: str, by: str) -> None:
        self._move(ref, "OPEN", by)

    def delete(self, ref: str) -> None:
        del self._server.orders[ref]

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        self._server.orders[ref] |= {"title": title} if title else {}

    def comments(self, ref: str) -> list[str]:
        return list(self._server.orders[ref]["comments"].values())

    def count(self, key: str) -> int:
        return sum(order["key"] == key for order in self._server.orders.values())

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        return self._server.hint(ref)

    def _move(self, ref: str, status: str, by: str) -> None:
        self._server.orders[ref] |= {"status": status, "by": by, "changed_ms": now_ms()}


@contextmanager
def serving() -> Iterator[Peer]:
    with serving_orders(Server(SECRET)) as server:
        yield WebhookPeer(server)
