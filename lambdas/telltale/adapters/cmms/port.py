"""The port to maintenance systems (CMMS): what every adapter can be asked, and in which words.

The worker in adapters/orders.py relies on no adapter to make creation idempotent: it asks `find` before every
`create`. Status words are five; what the system itself said is kept in `raw_status`. Success is what the system shows
when it is read back, not the status of its answer: whatever an adapter answers, it has read.

Errors: RetryLater may pass (CmmsBusy when the system said for how long; CmmsDenied once a person has mended the
credentials or the rights); CmmsRefused never will (UnknownAsset: it would, for an order without the asset).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater

TITLE, DESCRIPTION, SEVERITY = "title", "description", "severity"
FIELDS = (TITLE, DESCRIPTION, SEVERITY)  # what Telltale writes into an order, and may write anew


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


class CmmsDenied(RetryLater):
    """The credentials are wrong or expired, or a right is missing: no order of this site gets through until somebody
    mends that, and then all of them do.
    """


class UnknownAsset(CmmsRefused):
    """The system does not know the asset that the order names."""

    def __init__(self, asset: str, said: str) -> None:
        super().__init__(f"asset {asset!r} is not known there: {said}")
        self.asset = asset


class Forged(Exception):
    """An incoming message whose signature, age or form does not hold. It is refused, never acted on."""


@dataclass(frozen=True)
class Capabilities:
    """What a system can do beyond the least."""

    upsert: bool  # creating again under the same key answers the first order
    pushes: bool  # tells of changes itself, so that nobody needs to ask
    reopens: bool = False  # a final order can be opened again
    codes: bool = False  # keeps closure codes, so that `Order.closure` has them; else technicians are asked by a link
    attaches: bool = False  # takes pictures
    assets: bool = False  # can say whether it knows an asset
    stock: bool = False  # can say how many of a spare part there are


@dataclass(frozen=True)
class OrderRequest:
    """What a technician needs to act. `key` identifies the order for good: 20 characters of A-Z and 2-7.

    title : at most 100 characters.   description : plain text, lines ending in a line feed.
    link : the evidence page, already part of the description; "" where there is none.
    fields : what the plant file sets beside it, by the system's own names of its fields.
    """

    key: str
    case_id: str
    title: str
    description: str
    severity: str  # WARNING or ALARM
    position: str
    asset: str  # the asset's key in the maintenance system, else its path; "" for an order without one
    opened_ms: int
    link: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """An order as the system shows it. `closure` as reported: codes may be missing or foreign.

    `changed_ms` is when its status last changed, as far as the system says.
    shows : what stands in FIELDS now, in the system's own form: a person's edit is what differs from what stood there
    after Telltale last wrote it.   merged_into : reference of the order that this one was merged into.
    """

    ref: str
    key: str
    status: Status
    raw_status: str
    changed_ms: int
    by: str | None = None
    closure: Mapping[str, str] | None = None
    shows: Mapping[str, str] = field(default_factory=dict)
    merged_into: str = ""


@dataclass(frozen=True)
class Hint:
    """A verified message said that something happened to this order: read it back, believe only that.

    signed_at : when it was signed, in the sender's own words as they were verified; "" where nothing is signed. With
    the body it tells one message from another, whatever else comes with it.
    """

    ref: str
    signed_at: str = field(default="", compare=False)


@dataclass(frozen=True)
class Picture:
    """A file that goes with an order; `name` is the same for the same picture."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Stock:
    """How many of a spare part there are, and where, in the system's words."""

    part: str
    quantity: float
    where: str = ""


class Cmms(Protocol):
    """A maintenance system."""

    name: str
    capabilities: Capabilities

    def find(self, key: str) -> Order | None:
        """The order made under this key, whatever became of it; None when there is none."""

    def create(self, request: OrderRequest) -> Order:
        """Makes the order. After an error it may exist all the same: ask `find` before trying again.

        Raises UnknownAsset when only the asset stands in the way, and nothing was made.
        """

    def get(self, ref: str) -> Order | None:
        """The order now; None when it was deleted."""

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        """The named ones of FIELDS become the request's; nothing else is touched, status and assignee least of all.

        An order that is final meanwhile is answered as it is.
        """

    def comment(self, ref: str, text: str, *, key: str) -> None:
        """Adds a line to the order; the same `key` adds it once."""

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        """Moves the order, and answers it as it is then.

        A final order keeps its status: moving it elsewhere raises CmmsRefused, except to OPEN where the system
        `reopens`. So does a system that says yes and leaves the status as it was.
        """

    def attach(self, ref: str, picture: Picture) -> None:
        """Adds the picture; one of the same name is there once. Only where the system `attaches`."""

    def asset(self, key: str) -> str | None:
        """The name of the asset with this key; None when it is not known. Only where it can tell `assets`."""

    def stock(self, part: str) -> Stock | None:
        """How many of the part there are; None when it is not known. Only where it can tell `stock`."""

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        """What a pushed message is about. Raises Forged unless it is signed, fresh and well formed.

        Names of headers are in small letters. Of a system that cannot sign, a token at the end of the address it sends
        to (`/<site>/<token>`, or `?token=`) is the header `telltale-url-token`, which no sender can set otherwise:
        compare it in constant time with a secret.
        """


class Plain:
    """What a system that can do no more than the least says to the rest."""

    def attach(self, ref: str, picture: Picture) -> None:
        raise NotImplementedError(f"{ref}: this system takes no pictures")

    def asset(self, key: str) -> str | None:
        raise NotImplementedError(f"{key}: this system tells nothing of assets")

    def stock(self, part: str) -> Stock | None:
        raise NotImplementedError(f"{part}: this system tells nothing of spare parts")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        raise Forged("this system sends no messages")


class Stays(CmmsRefused):
    """The order has another status than was wanted, and keeps it."""

    def __init__(self, order: Order, wanted: Status) -> None:
        super().__init__(f"order {order.ref} is {order.raw_status} and stays so; {wanted} was wanted")


def moved(order: Order, wanted: Status) -> Order:
    """The order, which has that status now. Raises Stays."""
    if order.status is not wanted:
        raise Stays(order, wanted)
    return order


def order_key(case_id: str) -> str:
    """The order's key: 20 characters of [A-Z2-7], short enough for the reference fields of every system known."""
    return case_id.removeprefix("case-").upper()


def case_of(key: str) -> str:
    """The case that an order's key belongs to."""
    return f"case-{key.lower()}"
