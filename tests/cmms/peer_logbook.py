"""The logbook, on MiniStack; its people use `telltale orders`, which is the adapter."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Status
from telltale.core.closure import Closure

from tests.cmms.peer import Peer
from tests.ministack import running

NAME, REAL = "logbook", True


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class LogbookPeer(Peer):
    def __init__(self, client: Any) -> None:
        self._client = client

    def cmms(self, url: str | None = None, *, now_ms: Callable[[], int] = now_ms, **changes: Any) -> Logbook:
        return Logbook(self._client, "logbook", now_ms)

    def take_up(self, ref: str, by: str) -> None:
        self.cmms().set_status(ref, Status.IN_PROGRESS, by=by)

    def hold(self, ref: str, by: str) -> None:
        self.cmms().set_status(ref, Status.ON_HOLD, by=by)

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        self.cmms().set_status(ref, Status.DONE, by=by, closure=closure)

    def cancel(self, ref: str, by: str) -> None:
        self.cmms().set_status(ref, Status.CANCELLED, by=by)

    def reopen(self, ref: str, by: str) -> None:
        self.cmms().set_status(ref, Status.OPEN, by=by)

    def comments(self, ref: str) -> list[str]:
        entry = self.cmms().entry(ref)
        return [line.text for line in entry.history] if entry else []

    def count(self, key: str) -> int:
        return sum(entry.request.key == key for entry in self.cmms().entries())


@contextmanager
def serving() -> Iterator[Peer]:
    # Not on moto, which would be one for all tests of this process.
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as url:
        client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=url)
        client.create_table(
            TableName="logbook",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield LogbookPeer(client)
