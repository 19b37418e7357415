"""A plant with a mail server (aiosmtpd) and the logbook, on moto; its people read mail, and use `telltale orders`."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telltale.adapters.cmms.adapter import Given
from telltale.adapters.cmms.email import ADAPTER, Mailbox
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Status
from telltale.core.closure import Closure

from tests.cmms import peer_logbook
from tests.cmms.peer import Peer
from tests.cmms.smtp_server import PASSWORD, USER, Inbox
from tests.cmms.smtp_server import serving as serving_mail

NAME, REAL = "email", True
WORKSHOP, NIGHT = "workshop@plant.example", "night@plant.example"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class EmailPeer(Peer):
    def __init__(self, book: Logbook, inbox: Inbox) -> None:
        self.book, self.inbox = book, inbox

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Mailbox:
        own = {"host": "localhost", "port": self.inbox.port, "from": "Telltale <telltale@plant.example>"}
        defaults = {name: setting.default for name, setting in ADAPTER.settings.items()}
        return Mailbox(
            Given(
                site="plant",
                settings={**defaults, **own, "to": f"{WORKSHOP}, Night shift <{NIGHT}>", **(settings or {})},
                secrets=secrets or {"user": USER, "password": PASSWORD, "ca": self.inbox.ca},
                now_ms=now_ms,
                logbook=self.book,
            )
        )

    def take_up(self, ref: str, by: str) -> None:
        self.book.set_status(ref, Status.IN_PROGRESS, by=by)

    def hold(self, ref: str, by: str) -> None:
        self.book.set_status(ref, Status.ON_HOLD, by=by)

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        self.book.set_status(ref, Status.DONE, by=by, closure=closure)

    def cancel(self, ref: str, by: str) -> None:
        self.book.set_status(ref, Status.CANCELLED, by=by)

    def reopen(self, ref: str, by: str) -> None:
        self.book.set_status(ref, Status.OPEN, by=by)

    def comments(self, ref: str) -> list[str]:
        return [mail["Subject"] for mail in self.inbox.to(WORKSHOP) if mail["In-Reply-To"] and mail[ORDER] == ref]

    def count(self, key: str) -> int:
        return sum(mail[ORDER] == key and not mail["In-Reply-To"] for mail in self.inbox.to(WORKSHOP))


ORDER = "X-Telltale-Order"


@contextmanager
def serving() -> Iterator[Peer]:
    with (
        peer_logbook.serving() as logbook,
        tempfile.TemporaryDirectory() as folder,
        serving_mail(Path(folder)) as inbox,
    ):
        assert isinstance(logbook, peer_logbook.LogbookPeer)
        yield EmailPeer(logbook.cmms(), inbox)
