"""The port to maintenance systems (CMMS): what every adapter can be asked, and in which words.

The worker in adapters/orders.py relies on no adapter to make creation idempotent: it asks `find` before every
`create`. Status words are five; what the system itself said is kept in `raw_status`.

Errors: RetryLater (CmmsBusy when the system said for how long) may pass; CmmsRefused never will.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from telltale.core.closure import Closure
from telltale.core.errors import RetryLater


class Status(StrEnum):
    """What an order can be. DONE and CANCELLED are final."""

    OPEN = "OPEN"
    IN_PROGRESS = "IN_PROGRESS"
    ON_HOLD = "ON_HOLD"
    DONE = "DONE"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        return self in (Status.DONE, Status.CANCELLED)


class CmmsBusy(RetryLater):
    """The system asked to come back; `after_s` is when, None where it did not say."""

    def __init__(self, detail: str, after_s: float | None = None) -> None:
        super().__init__(detail)
        self.after_s = after_s


class Forged(Exception):
    """An incoming message whose signature, age or form does not hold. It is refused, never acted on."""


@dataclass(frozen=True)
class Capabilities:
    """What a system can do beyond the least."""

    upsert: bool  # creating again under the same key answers the first order
    pushes: bool  # tells of changes itself, so that nobody needs to ask


@dataclass(frozen=True)
class OrderRequest:
    """What a technician needs to act. `key` identifies the order for good: 20 characters of A-Z and 2-7."""

    key: str
    case_id: str
    title: str
    description: str
    severity: str  # WARNING or ALARM
    position: str
    asset: str  # the asset's key in the maintenance system, else its path
    opened_ms: int


@dataclass(frozen=True)
class Order:
    """An order as the system shows it. `closure` as reported: codes may be missing or foreign.

    `changed_ms` is when its status last changed, as far as the system says.
    """

    ref: str
    key: str
    status: Status
    raw_status: str
    changed_ms: int
    by: str | None = None
    closure: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Hint:
    """A verified message said that something happened to this order: read it back, believe only that."""

    ref: str


class Cmms(Protocol):
    """A maintenance system."""

    name: str
    capabilities: Capabilities

    def find(self, key: str) -> Order | None:
        """The order made under this key, whatever became of it; None when there is none."""

    def create(self, request: OrderRequest) -> Order:
        """Makes the order. After an error it may exist all the same: ask `find` before trying again."""

    def get(self, ref: str) -> Order | None:
        """The order now; None when it was deleted."""

    def update(self, ref: str, request: OrderRequest) -> Order:
        """Title, description and severity become the request's; status and the technician's work stay.

        An order that is final meanwhile is answered as it is.
        """

    def comment(self, ref: str, text: str, *, key: str) -> None:
        """Adds a line to the order; the same `key` adds it once."""

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        """Moves the order. A final order keeps its status: moving it elsewhere raises CmmsRefused."""

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        """What a pushed message is about. Raises Forged unless it is signed, fresh and well formed."""


def order_key(case_id: str) -> str:
    """The order's key: 20 characters of [A-Z2-7], short enough for the reference fields of every system known."""
    return case_id.removeprefix("case-").upper()


def case_of(key: str) -> str:
    """The case that an order's key belongs to."""
    return f"case-{key.lower()}"
